package secret

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
	"sync"
)

// commonGzip holds one lower-case password a line, of at least eight code
// points. COMMON_PASSWORDS.md names its sources and their licences.
//
//go:embed common_passwords.txt.gz
var commonGzip []byte

// commonPasswords is read once, at the first check: about 16,000 entries and
// one MiB that processes without passwords never pay. It does not change.
var commonPasswords = sync.OnceValue(readCommonPasswords)

// commonList knows passwords by heart and, beyond that, by the habit behind them.
type commonList struct {
	whole map[string]struct{}
	words map[string]struct{}
	tails []string
}

// isCommon looks up a whole password, normalised and in lower case.
func isCommon(folded string) bool {
	list := commonPasswords()
	if _, found := list.whole[folded]; found {
		return true
	}
	for _, tail := range list.tails {
		if word, cut := strings.CutSuffix(folded, tail); cut {
			if _, found := list.words[word]; found {
				return true
			}
		}
	}
	return false
}

// readCommonPasswords adds to the public lists what they lack. They are mostly
// lower-case and without symbols, because they come from sites that asked for
// none; where classes are demanded, people type a well-known word and the
// shortest tail that satisfies the form.
func readCommonPasswords() commonList {
	list := commonList{whole: make(map[string]struct{}, 17_000), words: map[string]struct{}{}}
	for line := range strings.Lines(unzip(commonGzip)) {
		list.whole[strings.TrimSuffix(line, "\n")] = struct{}{}
	}
	list.tails = strings.Fields(`! 1! 1@ 1# 1$ 1. 1? 12! 12@ 12# 123! 123@ 123# 123$ 123. 123? 1234! 1234@ 1234# 1234$
		12345! 12345@ 12345# 123456! 123456@ 123456# !1 !12 !123 !1234 @1 @12 @123 @1234 @12345 @123456
		#1 #12 #123 #1234 $1 $123 01! 10! 11! 69! 99! 00! 007! 1!! 1!@ !@#1 1!@# 123!@# !@#123 @123!
		2020! 2021! 2022! 2023! 2024! 2025! 2026! 2027! @2020 @2021 @2022 @2023 @2024 @2025 @2026 @2027
		#2024 #2025 #2026 #2027 !2024 !2025 !2026 !2027`)
	for word := range strings.FieldsSeq(`password passw0rd p@ssword p@ssw0rd p@$$word p@$$w0rd pa$$word pa$$w0rd
		pas$word pas$w0rd passwort motdepasse contraseña pass p@ss welcome w3lcome welc0me qwerty qwertz azerty qwertyuiop
		asdf asdfgh asdfghjkl zxcvbn zxcvbnm qwer 1qaz 1q2w3e 1q2w3e4r qaz qazwsx 1qaz2wsx abc abcd abcde abcdef aa aaa
		admin adm1n @dmin administrator root user guest test t3st tester testing demo login l0gin letmein l3tmein
		changeme changeit default temp temporary trial access secret s3cret master m@ster hello h3llo helloworld
		iloveyou love lovely monkey dragon shadow sunshine princess football baseball basketball soccer hockey
		superman batman spiderman starwars pokemon naruto michael jordan jessica ashley daniel charlie andrew thomas
		summer spring autumn winter fall january february march april may june july august september october november december
		monday tuesday wednesday thursday friday saturday sunday freedom whatever trustno trustme flower cookie computer
		internet server system windows microsoft google facebook linkedin apple samsung amazon oracle cisco company office
		london paris berlin madrid america india mumbai canada liverpool arsenal chelsea barcelona juventus ferrari mercedes
		killer hunter ranger buster tigger ginger pepper jesus blessed success money lucky happy family mother father`) {
		list.words[word] = struct{}{}
	}
	return list
}

// unzip panics on damage: the file is part of the program, and a test reads it.
func unzip(compressed []byte) string {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		panic("common passwords: " + err.Error())
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		panic("common passwords: " + err.Error())
	}
	return string(text)
}

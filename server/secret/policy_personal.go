package secret

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of the personal check, so that a profile full of words costs nothing
// noticeable.
const (
	maxPersonalWords      = 16  // arguments that are looked at
	maxPersonalWordBytes  = 320 // of each argument; the longest e-mail address has 254
	minPersonalWordLength = 2   // letters; below that a removal says nothing
)

// isPersonal reports whether a folded password is made of the account's own
// words and nothing but digits, symbols and spaces around or between them:
// "jane.doe", "Jane1990!", "DoeJane#1". A password that only contains such a
// word beside others is left alone, for "jane" is also in "trojan engine".
func isPersonal(folded string, words []string) bool {
	rest := folded
	for _, form := range personalForms(words) {
		if folded == form {
			return true
		}
		if countLetters(form) >= minPersonalWordLength {
			// A separator instead of nothing, so that what remains on both sides
			// does not join to another word.
			rest = strings.ReplaceAll(rest, form, " ")
		}
	}
	return rest != folded && countLetters(rest) == 0
}

// personalForms returns each word whole, an e-mail address also without its
// domain, and the pieces between digits and symbols; longest first.
func personalForms(words []string) []string {
	forms := make([]string, 0, 4*maxPersonalWords)
	for _, word := range words[:min(len(words), maxPersonalWords)] {
		word = strings.ToLower(norm.NFKC.String(word[:min(len(word), maxPersonalWordBytes)]))
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		forms = append(forms, word)
		local := word
		if at := strings.LastIndexByte(word, '@'); at > 0 {
			local = word[:at]
			forms = append(forms, local)
		}
		forms = append(forms, strings.FieldsFunc(local, func(r rune) bool { return !unicode.IsLetter(r) })...)
	}
	slices.SortFunc(forms, func(a, b string) int { return utf8.RuneCountInString(b) - utf8.RuneCountInString(a) })
	return slices.Compact(forms)
}

func countLetters(text string) int {
	n := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}

package secret_test

import (
	"errors"
	"strings"
	"testing"

	"usermanager/server/secret"
)

// Hashes of "Secure*1234" made by other implementations: argon2-cffi, bcrypt,
// passlib 1.7.4 and Django 5.2, with low costs. For the PHC form of pbkdf2 the
// passlib hash is written in the standard base64 alphabet.
func importedHashes() map[string]string {
	return map[string]string{
		"argon2id of argon2-cffi": "$argon2id$v=19$m=64,t=1,p=1$VDksrh49xtDxaP6TDbeGMQ$noToq0G6m5UivXMn9xU7Lf8hF3dZ7TV7sbTBvS3cXKI",
		"argon2id with 4 lanes":   "$argon2id$v=19$m=256,t=2,p=4$6cM1L2foIU9kFqwHCtef6Q$VEb+nTdUkvFudBQ6qXtbjzF4BYNhLowrZpLCblIFriI",
		"argon2i":                 "$argon2i$v=19$m=64,t=2,p=1$RdNOV08UIiyJkdXEn05sIQ$EkNT/5qoVCp+9OfTdA6LGEvXQhe7ULV0USuCRQUClks",
		"bcrypt 2a":               "$2a$04$w0ufS95Mvq/exK/NkCdNEOmiYqkdW5m8qyFGwl3dkeF.rw.KRGmTS",
		"bcrypt 2b":               "$2b$04$.50SuWEzmx7cI1FsJtkA2OP8oaJddfcAH3VEUpM82LhOkscPvgCT.",
		"bcrypt 2y":               "$2y$04$.50SuWEzmx7cI1FsJtkA2OP8oaJddfcAH3VEUpM82LhOkscPvgCT.",
		"scrypt of passlib":       "$scrypt$ln=8,r=8,p=1$wRgjhDBGyLkXwtjbG6NUqg$vzbLEO6FphzgfLKIo6b3MaQtR7QA7QkG7YeE6MFPAI8",
		"pbkdf2-sha256 passlib":   "$pbkdf2-sha256$1000$VkpJ6Z1zTknp/d/731srhQ$ruAS0Wrmyp.HdPBxnR6Y7JgHg12AQ33eIrdfTDiJqIk",
		"pbkdf2-sha512 passlib":   "$pbkdf2-sha512$1000$EsLY.59T6l3r/b/3HiMk5A$JF.kcoO679kTbcuKk4WzLUVJQeth6/HMwVDvsLsMKn0YOU/HTn/ZoCHi.rAatwT0HLGDcCx8FOSEzDPzThg2bA",
		"pbkdf2-sha256 PHC":       "$pbkdf2-sha256$i=1000$VkpJ6Z1zTknp/d/731srhQ$ruAS0Wrmyp+HdPBxnR6Y7JgHg12AQ33eIrdfTDiJqIk",
		"pbkdf2-sha512 PHC":       "$pbkdf2-sha512$i=1000,l=64$EsLY+59T6l3r/b/3HiMk5A$JF+kcoO679kTbcuKk4WzLUVJQeth6/HMwVDvsLsMKn0YOU/HTn/ZoCHi+rAatwT0HLGDcCx8FOSEzDPzThg2bA",
		"pbkdf2 of Django":        "pbkdf2_sha256$1000$seasaltsalt12345$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"scrypt of Django":        "scrypt$seasaltsalt12345$256$8$1$2hvnVfDUm4YC7Tte5abbCGJFR2zmVD4j5FUSOYuzSwBdEv33X9nO8dYCmfdHa9c4LbhwFXxsqfYhPq+qtpt1xw==",
		"argon2 of Django":        "argon2$argon2id$v=19$m=64,t=1,p=1$c2Vhc2FsdHNhbHQxMjM0NQ$26AvEnOo4ockFv8QxV1C0CqM6tO33BnsYus7ivVFgxg",
		"bcrypt of Django":        "bcrypt$$2b$04$TlcsY9MvyGi5V1oJY/ejqO/OSfXVDRJVS9FOifqM.xBaj3czN6bTS",
		"bcrypt-sha256 of Django": "bcrypt_sha256$$2b$04$wlIEXNqs/52A9vXG8BngeObQZ0kyQTzYcmRdqkQOxygx4.vgA/ctq",
	}
}

// hostileHashes would hang or crash a server that trusts its database.
func hostileHashes() map[string]string {
	const salt, tag = "VDksrh49xtDxaP6TDbeGMQ", "noToq0G6m5UivXMn9xU7Lf8hF3dZ7TV7sbTBvS3cXKI"
	const bcrypt = "w0ufS95Mvq/exK/NkCdNEOmiYqkdW5m8qyFGwl3dkeF.rw.KRGmTS"
	argon := func(params string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + tag }
	scrypt := func(params string) string { return "$scrypt$" + params + "$" + salt + "$" + tag }
	return map[string]string{
		"empty":                      "",
		"a dollar":                   "$",
		"dollars":                    strings.Repeat("$", 500),
		"plain text":                 "Secure*1234",
		"disabled account":           "!",
		"unknown algorithm":          "$6$rounds=5000$salt$hash",
		"megabyte":                   "$argon2id$" + strings.Repeat("a", 1<<20),
		"argon2 4 GiB":               argon("m=4194304,t=1,p=1"),
		"argon2 just above limit":    argon("m=131073,t=1,p=1"),
		"argon2 most memory x time":  argon("m=131072,t=5,p=1"),
		"argon2 32-bit memory":       argon("m=4294967295,t=1,p=1"),
		"argon2 33-bit memory":       argon("m=4294967296,t=1,p=1"),
		"argon2 a million passes":    argon("m=19456,t=1000000,p=1"),
		"argon2 small but endless":   argon("m=8,t=4294967295,p=1"),
		"argon2 255 lanes":           argon("m=19456,t=2,p=255"),
		"argon2 256 lanes":           argon("m=19456,t=2,p=256"),
		"argon2 257 lanes":           argon("m=19456,t=2,p=257"),
		"argon2 no lane":             argon("m=19456,t=2,p=0"),
		"argon2 no pass":             argon("m=19456,t=0,p=1"),
		"argon2 no memory":           argon("m=0,t=2,p=1"),
		"argon2 too little a lane":   argon("m=31,t=2,p=4"),
		"argon2 negative":            argon("m=-1,t=2,p=1"),
		"argon2 plus":                argon("m=+64,t=2,p=1"),
		"argon2 leading zero":        argon("m=064,t=2,p=1"),
		"argon2 hexadecimal":         argon("m=0x40,t=2,p=1"),
		"argon2 another order":       argon("t=2,m=64,p=1"),
		"argon2 one missing":         argon("m=64,t=2"),
		"argon2 one too many":        argon("m=64,t=2,p=1,x=1"),
		"argon2 without values":      argon("m=,t=,p="),
		"argon2 spaces":              argon("m=64, t=2, p=1"),
		"argon2d":                    "$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + tag,
		"argon2 another version":     "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + tag,
		"argon2 without version":     "$argon2id$m=64,t=1,p=1$" + salt + "$" + tag,
		"argon2 without tag":         "$argon2id$v=19$m=64,t=1,p=1$" + salt,
		"argon2 empty tag":           "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$",
		"argon2 short tag":           "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$c2hvcnQ",
		"argon2 empty salt":          "$argon2id$v=19$m=64,t=1,p=1$$" + tag,
		"argon2 padded":              "$argon2id$v=19$m=64,t=1,p=1$" + salt + "==$" + tag,
		"argon2 free bits set":       "$argon2id$v=19$m=64,t=1,p=1$" + salt[:21] + "R$" + tag,
		"argon2 free bits in tag":    "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag[:42] + "J",
		"argon2 line break":          "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag + "\n",
		"argon2 something after":     argon("m=64,t=1,p=1") + "$x",
		"argon2 tag of 65 bytes":     "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.Repeat("AAAA", 21) + "AAA",
		"argon2 salt of 66 bytes":    "$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("AAAA", 22) + "$" + tag,
		"argon2i hostile":            "$argon2i$v=19$m=4194304,t=1,p=1$" + salt + "$" + tag,
		"bcrypt cost 31":             "$2b$31$" + bcrypt,
		"bcrypt cost 15":             "$2b$15$" + bcrypt,
		"bcrypt cost 3":              "$2b$03$" + bcrypt,
		"bcrypt cost 0":              "$2b$00$" + bcrypt,
		"bcrypt cost in letters":     "$2b$aa$" + bcrypt,
		"bcrypt negative cost":       "$2b$-4$" + bcrypt,
		"bcrypt 2x":                  "$2x$04$" + bcrypt,
		"bcrypt 2":                   "$2$04$" + bcrypt,
		"bcrypt cut":                 "$2b$04$" + bcrypt[:52],
		"bcrypt longer":              "$2b$04$" + bcrypt + "A",
		"bcrypt other alphabet":      "$2b$04$" + bcrypt[:52] + "+",
		"bcrypt without separator":   "$2b$04." + bcrypt,
		"scrypt ln=40":               scrypt("ln=40,r=8,p=1"),
		"scrypt ln=31":               scrypt("ln=31,r=1,p=1"),
		"scrypt ln=18":               scrypt("ln=18,r=8,p=1"),
		"scrypt ln=0":                scrypt("ln=0,r=8,p=1"),
		"scrypt big r":               scrypt("ln=2,r=1073741824,p=1"),
		"scrypt no r":                scrypt("ln=14,r=0,p=1"),
		"scrypt no p":                scrypt("ln=14,r=8,p=0"),
		"scrypt big p":               scrypt("ln=14,r=8,p=4294967295"),
		"scrypt all lanes too much":  scrypt("ln=17,r=8,p=5"),
		"scrypt without p":           scrypt("ln=14,r=8"),
		"scrypt cut":                 "$scrypt$ln=8,r=8,p=1$" + salt,
		"scrypt bad salt":            "$scrypt$ln=8,r=8,p=1$*$" + tag,
		"pbkdf2 2^31 rounds":         "$pbkdf2-sha256$2147483648$" + salt + "$" + tag,
		"pbkdf2 above the limit":     "$pbkdf2-sha256$2000001$" + salt + "$" + tag,
		"pbkdf2 no round":            "$pbkdf2-sha256$0$" + salt + "$" + tag,
		"pbkdf2 PHC no round":        "$pbkdf2-sha256$i=0$" + salt + "$" + tag,
		"pbkdf2 PHC another length":  "$pbkdf2-sha256$i=1000,l=31$" + salt + "$" + tag,
		"pbkdf2 without rounds":      "$pbkdf2-sha256$$" + salt + "$" + tag,
		"pbkdf2 cut":                 "$pbkdf2-sha256$1000$" + salt,
		"pbkdf2 bad tag":             "$pbkdf2-sha256$1000$" + salt + "$*",
		"pbkdf2 tag above one block": "$pbkdf2-sha256$1000$" + salt + "$" + strings.Repeat("A", 44),
		"pbkdf2 sha1":                "$pbkdf2$1000$" + salt + "$" + tag,
		"Django name only":           "pbkdf2_sha256",
		"Django argon2 only":         "argon2",
		"Django argon2 hostile":      "argon2" + argon("m=4194304,t=1,p=1"),
		"Django argon2d":             "argon2$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + tag,
		"Django argon2 nested":       "argon2$argon2" + argon("m=64,t=1,p=1"),
		"Django pbkdf2 rounds":       "pbkdf2_sha256$2147483648$seasaltsalt$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"Django pbkdf2 letters":      "pbkdf2_sha256$x$seasaltsalt$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"Django pbkdf2 short salt":   "pbkdf2_sha256$1000$sea$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"Django scrypt memory":       "scrypt$seasaltsalt$1073741824$8$1$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"Django scrypt odd n":        "scrypt$seasaltsalt$1000$8$1$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"Django scrypt letters":      "scrypt$seasaltsalt$256$r$1$xugPGCalMnIyk3aCEP5vjLbKOmH45JI7TqX5mwt3h0k=",
		"Django bcrypt cost":         "bcrypt$$2b$31$" + bcrypt,
		"Django bcrypt 2x":           "bcrypt$$2x$04$" + bcrypt,
		"Django bcrypt one dollar":   "bcrypt$2b$04$" + bcrypt,
		"Django bcrypt_sha256 cost":  "bcrypt_sha256$$2b$31$" + bcrypt,
		"Django md5":                 "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
	}
}

//
func TestImportedHashesVerifyAndAreOutdated(t *testing.T) {
	t.Parallel()
	hasher, err := secret.NewHasher(secret.HasherOptions{Queue: 1000})
	if err != nil {
		t.Fatalf("NewHasher: %v", err)
	}
	for name, phc := range importedHashes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if match, outdated := verify(t, hasher, phc, "Secure*1234"); !match || !outdated {
				t.Errorf("Verify = %v, outdated %v, want a match that is outdated", match, outdated)
			}
			for _, wrong := range []string{"", "secure*1234", "Secure*1234 ", "Secure*123", phc} {
				if match, _ := verify(t, hasher, phc, wrong); match {
					t.Errorf("matches %q", wrong)
				}
			}
		})
	}
}

// Limits must not shut out what honest systems write.
func TestTheLimitsAdmitWhatOtherSystemsWrite(t *testing.T) {
	t.Parallel()
	for name, params := range map[string]secret.Params{
		"OWASP's strongest":      {MemoryKiB: 47104, Iterations: 1, Parallelism: 1},
		"argon2-cffi":            {MemoryKiB: 65536, Iterations: 3, Parallelism: 4},
		"Django":                 {MemoryKiB: 102400, Iterations: 2, Parallelism: 8},
		"libsodium interactive":  {MemoryKiB: 65536, Iterations: 2, Parallelism: 1},
		"the largest here":       {MemoryKiB: 131072, Iterations: 4, Parallelism: 16},
		"the smallest of tests":  {MemoryKiB: 8, Iterations: 1, Parallelism: 1},
		"RFC 9106's low memory":  {MemoryKiB: 65536, Iterations: 3, Parallelism: 4},
		"OWASP's least memory":   {MemoryKiB: 7168, Iterations: 5, Parallelism: 1},
		"old argon2 with 4 MiB":  {MemoryKiB: 4096, Iterations: 3, Parallelism: 1},
		"this server's":          secret.DefaultParams(),
		"many lanes of a little": {MemoryKiB: 128, Iterations: 1, Parallelism: 16},
	} {
		if _, err := secret.NewHasher(secret.HasherOptions{Params: params}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// bcrypt ignores what follows 72 bytes; this server does not.
func TestALongPasswordDoesNotMatchItsFirst72Bytes(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	const phc = "$2b$04$1QgfQNUystCOaaPYZ6lWhe/1OpK.J6DpB8tx1vMTxgjXxUzL6Odxq" // of 72 x a
	for length, want := range map[int]bool{71: false, 72: true, 73: false, 100: false} {
		if match, _ := verify(t, hasher, phc, strings.Repeat("a", length)); match != want {
			t.Errorf("%d bytes: match = %v, want %v", length, match, want)
		}
	}
}

// the replaced system hashed what was typed, without normalising.
func TestAnImportedHashMatchesThePasswordAsTyped(t *testing.T) {
	t.Parallel()
	hasher := cheapHasher(t)
	const phc = "$2b$04$W../xyVYwJIGDoF4pfIXdOMqtqC2RbkvVBKiIzxVhYfcJuvf766Pa" // of the raw bytes, with the ligature U+FB01
	if match, outdated := verify(t, hasher, phc, "Secure*1234\ufb01"); !match || !outdated {
		t.Errorf("Verify = %v, outdated %v", match, outdated)
	}
	if match, _ := verify(t, hasher, phc, "Secure*1234\ufb02"); match {
		t.Error("another ligature matches")
	}
	fresh := hashOf(t, hasher, "Secure*1234\ufb01")
	if match, outdated := verify(t, hasher, fresh, "Secure*1234fi"); !match || outdated {
		t.Errorf("after the upgrade: Verify = %v, outdated %v", match, outdated)
	}
}

func FuzzVerifyAStoredHash(f *testing.F) {
	// The fuzzer's own hashes may be as costly as the limits allow; what is
	// fuzzed is whether anything else than a verdict comes out.
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: cheapParams()})
	if err != nil {
		f.Fatal(err)
	}
	for _, phc := range importedHashes() {
		f.Add(phc)
	}
	for _, phc := range hostileHashes() {
		if len(phc) < 1000 {
			f.Add(phc)
		}
	}
	f.Fuzz(func(t *testing.T, phc string) {
		match, outdated, err := hasher.Verify(t.Context(), phc, "not the password of any seed")
		if match {
			t.Errorf("%q matches", phc)
		}
		if err != nil && (!errors.Is(err, secret.ErrMalformedHash) || outdated) {
			t.Errorf("Verify of %q = outdated %v, %v", phc, outdated, err)
		}
	})
}

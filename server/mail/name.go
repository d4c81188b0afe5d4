package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxGreetedName  = 40 // code points: any given name, too short for a message to a stranger
	maxGreetedWords = 5
	maxDigitRun     = 6 // mail programs turn longer runs into telephone links
	maxMarkRun      = 4 // combining marks on one letter: Vietnamese and Hebrew need 2-3, Zalgo dozens
)

// greetable reports whether a mail may repeat this name. Whoever registers
// chooses the name and the address, so a name is a way to send a stranger a
// text of one's own with our sender and signature (CWE-1336, ASVS 1.3.7).
//
// It therefore allows what names are made of (letters, marks, few digits,
// single spaces, apostrophe, hyphen, underscore, a full stop that ends a word)
// and refuses all else: markup, Markdown, templates, addresses, and
// everything a mail program turns into a link ("example.com", "//host",
// "@name"), also behind look-alike dots and invisible characters. A refused
// name is not an error; the mail greets without one.
func greetable(name string) bool {
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxGreetedName {
		return false
	}
	words := strings.Split(name, " ")
	if len(words) > maxGreetedWords {
		return false
	}
	for _, word := range words {
		if !greetableWord(word) {
			return false
		}
	}
	return true
}

func greetableWord(word string) bool {
	letters, digits, marks := 0, 0, 0
	for i, r := range word {
		isDigit, isMark := '0' <= r && r <= '9', unicode.IsMark(r)
		switch {
		case isInvisible(r):
			return false // some of them are letters: U+3164 HANGUL FILLER
		case unicode.IsLetter(r):
			letters++
		case isDigit:
			digits++
		case isMark:
			marks++
		case r == '.':
			if i+1 < len(word) || letters == 0 {
				return false // "Dr." is a name, "example.com" a link
			}
		case strings.ContainsRune("'’-_", r):
		default:
			return false
		}
		if !isDigit {
			digits = 0
		}
		if !isMark {
			marks = 0
		}
		if digits > maxDigitRun || marks > maxMarkRun {
			return false
		}
	}
	return letters > 0 && !strings.HasPrefix(strings.ToLower(word), "www")
}

func isInvisible(r rune) bool {
	return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

// isUnsafeInLine finds what ends or reorders a line: control characters,
// U+2028 and U+2029, and the bidirectional controls among the format ones.
func isUnsafeInLine(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

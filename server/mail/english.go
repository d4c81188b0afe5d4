package mail

import (
	"fmt"
	"time"
)

// english returns the texts in English, the language that every other one
// falls back to. To add a language, write its function beside this one and
// list it in NewRenderer.
//
// Texts may hold {product} {support} {role} {expires} {at}. A line whose
// value is not known for this mail is left out, so {expires} and {at} have
// lines of their own.
func english() locale {
	return locale{
		greeting:    "Hi {name},",
		salutation:  "Hello,",
		signature:   "Kind regards",
		trouble:     "If the button “{ACTION}” does not work, copy this address into your browser:",
		footer:      "You get this mail because this address belongs to an account at {product}. Questions? Contact {support}.",
		supportTeam: "the {product} team",
		timeLayout:  "2 January 2006 at 15:04 MST",
		duration:    englishDuration,
		roles: map[string]string{
			"ANONYMOUS":     "unverified user",
			"AUTHENTICATED": "user",
			"MANAGER":       "manager",
			"ADMIN":         "administrator",
		},
		texts: map[Kind]text{
			KindVerifyEmail: {
				subject:      "Confirm your e-mail address for {product}",
				intros:       []string{"Welcome to {product}. One step is left: confirm that this address is yours."},
				instructions: "Open this page and press the button on it:",
				action:       "Confirm e-mail address",
				linkRequired: true,
				outros: []string{
					"The link works once and for {expires}.",
					"If you did not create this account, ignore this mail; without the confirmation nobody can use it.",
				},
			},
			KindInvitation: {
				subject:      "You are invited to {product}",
				intros:       []string{"An account at {product} was made for you."},
				instructions: "Choose a password to start using it:",
				action:       "Accept the invitation",
				linkRequired: true,
				outros: []string{
					"The link works once and for {expires}.",
					"If you did not expect this invitation, ignore this mail.",
				},
			},
			KindRegistrationAttempt: {
				subject: "You already have an account at {product}",
				intros: []string{
					"Somebody tried to register at {product} with this e-mail address. You already have an account here, so nothing was changed.",
				},
				instructions: "If it was you, sign in, or choose a new password if you forgot yours:",
				action:       "Go to my account",
				linkRequired: true,
				outros: []string{
					"The link works for {expires}.",
					"If it was not you, there is nothing to do.",
				},
			},
			KindUpgraded: {
				subject: "You are now a professional at {product}",
				intros: []string{
					"Your account was upgraded to professional status.",
					"The upgrade was made on {at}.",
				},
				instructions: "See what is new:",
				action:       "Open my account",
				outros:       []string{"If this is a surprise, contact {support}."},
			},
			KindRoleChanged: {
				subject: "Your role at {product} has changed",
				intros: []string{
					"Your role is now: {role}.",
					"It was changed on {at}.",
				},
				instructions: "It holds from now on:",
				action:       "Open my account",
				roleRequired: true,
				outros:       []string{"If this is a surprise, contact {support}."},
			},
			// The reason that staff wrote down is internal and stays out.
			KindLocked: {
				subject: "Your account at {product} is locked",
				intros: []string{
					"Your account was locked by our staff. You cannot sign in, and you were signed out everywhere.",
					"It was locked on {at}.",
				},
				outros: []string{"If you think that this is a mistake, contact {support}."},
			},
			KindUnlocked: {
				subject: "Your account at {product} is unlocked",
				intros: []string{
					"Your account was unlocked. You can sign in again with your password.",
					"It was unlocked on {at}.",
				},
				instructions: "Sign in to go on:",
				action:       "Sign in",
				outros:       []string{"If you have questions, contact {support}."},
			},
			KindSignInFailures: {
				subject: "Many failed sign-ins to your account at {product}",
				intros: []string{
					"Somebody entered a wrong password for your account many times. We slow such attempts down; your account is not locked.",
					"The last attempt was on {at}.",
					"If it was you, there is nothing to do: wait a little and try again.",
				},
				instructions: "If it was not you, change your password, and use one that you use nowhere else:",
				action:       "Change my password",
				outros:       []string{"If you need help, contact {support}."},
			},
			KindSessionReplayed: {
				subject: "A device was signed out of your account at {product}",
				intros: []string{
					"A sign-in of your account was used from two places at once, as if somebody had copied it. We ended it; your other devices stay signed in.",
					"It ended on {at}.",
					"It can be harmless: a device that was restored from a backup does the same.",
				},
				instructions: "If you do not know why, change your password and end your other sessions:",
				action:       "Open my account",
				outros:       []string{"If you need help, contact {support}."},
			},
		},
	}
}

// englishDuration rounds down, so that a mail never promises more time than
// there is: minutes below two hours, hours below two days, then days.
func englishDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return englishCount(int(d/day), "day")
	case d >= 2*time.Hour || d == time.Hour:
		return englishCount(int(d/time.Hour), "hour")
	default:
		return englishCount(max(1, int(d/time.Minute)), "minute")
	}
}

func englishCount(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

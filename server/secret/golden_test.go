package secret_test

// Values for a root key of 32 bytes 0x01, computed by another implementation
// (Python's hmac and cryptography) from the layouts that the comments describe.
const (
	goldenCheck   = "v1.z7xwTwRaF5jum0SuTBKcYA"
	goldenAddress = "560b9bfd0bfa0aba3eeb07301ee8d6e3b434ffeb2e31988b8f3021ba9908368b"
	goldenToken   = "WOZvegGJCl2slndLvM6zAgmagFeUF0aqormIw21M_5XRX4HZNuMBekZMXW6FSUDhFYW3Cg"
	goldenSealed  = "0158e66f7a000102030405060708090a0b6465666768696a6b6c6d6e6f39c457682f23331701f47d22cbaeb7227027abf268970787f9"
)

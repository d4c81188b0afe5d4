//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lockFile holds the file until it is closed or this process ends, however it ends. The error is errInUse
// while another one holds it.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the developer names the folder
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errInUse
	}
	return nil, err
}

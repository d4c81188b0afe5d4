package dbtest

import "syscall"

const memoryDisk = "/dev/shm"

// freeMemoryDisk is in bytes.
func freeMemoryDisk() (uint64, error) {
	var stat syscall.Statfs_t
	err := syscall.Statfs(memoryDisk, &stat)
	return stat.Bavail * uint64(stat.Bsize), err
}

//go:build !linux

package dbtest

const memoryDisk = ""

func freeMemoryDisk() (uint64, error) {
	return 0, nil
}

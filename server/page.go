package server

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/google/uuid"

	"usermanager/server/secret"
)

const (
	defaultLimit = 10
	countBound   = 10_000 // a total above is a lower bound, so that no page counts a big table
)

// cursor is a place in a list that is sorted by time and id, newest first: the page begins after it, or when
// turned backward ends before it.
type cursor struct {
	isBackward bool
	at         time.Time
	id         uuid.UUID
}

const cursorBytes = 1 + 8 + 16

var errCursor = errors.New("not a cursor of this list")

// encodeCursor seals a place: nobody can make one up, nor use it for a list with other filters (I-13).
func (s *Server) encodeCursor(c cursor, filters string) string {
	plain := make([]byte, 1, cursorBytes)
	if c.isBackward {
		plain[0] = 1
	}
	plain = binary.BigEndian.AppendUint64(plain, uint64(c.at.UnixMicro()))
	plain = append(plain, c.id[:]...)
	return base64.RawURLEncoding.EncodeToString(s.Secret.Seal(secret.PurposeCursor, plain, []byte(filters)))
}

func (s *Server) decodeCursor(text, filters string) (cursor, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return cursor{}, errCursor
	}
	plain, err := s.Secret.Open(secret.PurposeCursor, sealed, []byte(filters))
	if err != nil || len(plain) != cursorBytes {
		return cursor{}, errCursor
	}
	return cursor{
		isBackward: plain[0] == 1,
		at:         time.UnixMicro(int64(binary.BigEndian.Uint64(plain[1:9]))),
		id:         uuid.UUID(plain[9:]),
	}, nil
}

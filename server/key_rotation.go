package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/gen/query"
	"usermanager/server/secret"
)

// JWKSCacheTime is how long others may keep the published keys: getJwks' x-cache-seconds.
const JWKSCacheTime = 5 * time.Minute

const (
	keyReload  = 30 * time.Second // a key that another server made or retired is known here by then
	keyLead    = 15 * time.Minute // JWKSCacheTime, keyReload, and the libraries that keep a JWKS for ten minutes of their own
	longestTTL = 15 * time.Minute // what production allows as ACCESS_TTL: it may have been longer a moment ago
)

// KeyTimes say how signing keys follow one another. Zero values become their default, which keep two promises
// (T-20): whoever reads the JWKS has a key before it signs, and a key outlives the last token that it signed.
type KeyTimes struct {
	Rotation    time.Duration // how long a key signs before the next one takes over; 0: until an operator says so
	Lead        time.Duration // how long a next key is published before it signs; default 15 minutes
	Reload      time.Duration // how often every server reads the keys; default 30 s
	RetireAfter time.Duration // how long a key is accepted after another one took over; see withDefaults
}

func (t KeyTimes) withDefaults(accessTTL time.Duration) KeyTimes {
	if t.Reload == 0 {
		t.Reload = keyReload
	}
	if t.Lead == 0 {
		t.Lead = keyLead
	}
	if t.RetireAfter == 0 {
		// Other servers sign with it until they have reloaded; one that could not try again has a second chance.
		t.RetireAfter = 2*t.Reload + max(accessTTL, longestTTL) + secret.ClockLeeway
	}
	return t
}

// Keys are the signing keys of a database and how they follow one another. Every server has one and does what is
// due; the command line makes one without a server, and the servers follow within KeyTimes.Reload.
type Keys struct {
	pool   *pgxpool.Pool
	secret *secret.Root
	times  KeyTimes
	by     string // in audit rows
}

// NewKeys uses Pool, Secret, AccessTTL and KeyTimes. Secret may be missing when nothing but List is called.
func NewKeys(o Options) *Keys {
	return &Keys{pool: o.Pool, secret: o.Secret, times: o.KeyTimes.withDefaults(o.AccessTTL), by: "command line"}
}

// Times are those of the options, with their defaults.
func (k *Keys) Times() KeyTimes { return k.times }

// Errors of what an operator asks for.
var (
	ErrNoKeys     = errors.New("there are no signing keys yet: the first server that starts makes one")
	ErrUnknownKey = errors.New("there is no signing key with this id: `usermanager keys list` shows those that there are")
)

// KeyInfo is one key. Times that lie ahead are plans.
type KeyInfo struct {
	KID       string                `json:"kid"`
	State     query.SigningKeyState `json:"state"`
	CreatedAt time.Time             `json:"created_at"` // published since
	SignsFrom time.Time             `json:"signs_from"`
	LeavesAt  *time.Time            `json:"leaves_at"` // its tokens are refused from then on; nil: nobody plans it
}

// List returns the keys that are published, in the order in which they sign.
func (k *Keys) List(ctx context.Context) ([]KeyInfo, error) {
	rows, err := query.New(k.pool).SigningKeyList(ctx)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	infos := make([]KeyInfo, len(rows))
	var next *query.SigningKey
	for i := range rows {
		if rows[i].State == query.SigningKeyStateNext {
			next = &rows[i]
		}
	}
	for i, row := range rows {
		infos[i] = KeyInfo{row.KID, row.State, row.CreatedAt.UTC(), row.SignsFrom.UTC(), row.LeavesAt}
		switch {
		case row.LeavesAt != nil:
			infos[i].LeavesAt = inUTC(*row.LeavesAt)
		case row.State == query.SigningKeyStateCurrent && next != nil:
			infos[i].LeavesAt = inUTC(next.SignsFrom.Add(k.times.RetireAfter))
		case k.times.Rotation > 0:
			infos[i].LeavesAt = inUTC(row.SignsFrom.Add(k.times.Rotation + k.times.RetireAfter))
		}
	}
	return infos, nil
}

func inUTC(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

// Rotation is how far a rotation is.
type Rotation struct {
	Began    bool // by this call; else it was under way already, or another one has just done it
	Next     string
	Previous string
	At       time.Time // when Next takes over, or took
	LeavesAt time.Time // when tokens of Previous are refused; zero until the takeover
}

// Begin publishes a next key, which takes over after KeyTimes.Lead. Of many at once one does so, and all are told
// the same.
func (k *Keys) Begin(ctx context.Context) (Rotation, error) { return k.rotate(ctx, k.begin) }

// TakeOver lets the next key sign at once, and makes one first if there is none. Whoever has not read the keys
// since refuses its tokens.
func (k *Keys) TakeOver(ctx context.Context) (Rotation, error) {
	return k.rotate(ctx, func(ctx context.Context, q *query.Queries) (Rotation, error) {
		begun, err := k.begin(ctx, q)
		if err != nil {
			return begun, err
		}
		rotation, err := k.takeOver(ctx, q)
		rotation.Began = begun.Began
		return rotation, err
	})
}

// rotate does nothing when the schedule, or another operator, has rotated while this call waited for its turn:
// one rotation is what both wanted.
func (k *Keys) rotate(ctx context.Context, do func(ctx context.Context, q *query.Queries) (Rotation, error)) (Rotation, error) {
	rows, err := query.New(k.pool).SigningKeyList(ctx)
	if err != nil {
		return Rotation{}, fmt.Errorf("read signing keys: %w", err)
	}
	before := rotationOf(rows).Previous
	var rotation Rotation
	err = k.change(ctx, func(q *query.Queries) error {
		rows, err := q.SigningKeyList(ctx)
		if err != nil {
			return fmt.Errorf("read signing keys: %w", err)
		}
		for _, row := range rows {
			if row.KID == before && row.LeavesAt != nil {
				rotation.Previous, rotation.LeavesAt = before, row.LeavesAt.UTC()
			}
			if row.State == query.SigningKeyStateCurrent {
				rotation.Next, rotation.At = row.KID, row.SignsFrom.UTC()
			}
		}
		if rotation.Previous != "" {
			return nil
		}
		rotation, err = do(ctx, q)
		return err
	})
	return rotation, err
}

// Retire is for a key that somebody else may have: it is erased, and every server refuses its tokens once it has
// read the keys. If it was the current one another takes over at once, whose id is returned.
func (k *Keys) Retire(ctx context.Context, kid string) (successor string, err error) {
	err = k.change(ctx, func(q *query.Queries) error {
		retired, err := q.SigningKeyDelete(ctx, kid)
		if isNoRows(err) {
			return ErrUnknownKey
		}
		if err != nil {
			return fmt.Errorf("retire signing key: %w", err)
		}
		err = k.audit(ctx, q, query.AuditActionSigningKeyRetired, map[string]any{"kid": kid, "was": retired.State})
		if err != nil || retired.State != query.SigningKeyStateCurrent {
			return err
		}
		started, err := q.SigningKeyStart(ctx)
		if isNoRows(err) {
			started.KID, err = k.create(ctx, q, query.SigningKeyStateCurrent)
		}
		if err != nil {
			return fmt.Errorf("let another key take over: %w", err)
		}
		successor = started.KID
		return k.audit(ctx, q, query.AuditActionSigningKeyTookOver, map[string]any{"kid": successor, "instead_of": kid})
	})
	return successor, err
}

// doDue erases keys whose time is over, lets a next key take over, and begins a rotation, each on time. All
// servers ask; the first one that holds the lock does it.
func (k *Keys) doDue(ctx context.Context) error {
	due, err := k.due(ctx, query.New(k.pool))
	if err != nil || due == (query.SigningKeyDueRow{}) {
		return err
	}
	return k.change(ctx, func(q *query.Queries) error {
		due, err := k.due(ctx, q) // another server may have done it
		if err != nil {
			return err
		}
		if due.Leaving {
			if err := k.erase(ctx, q); err != nil {
				return err
			}
		}
		if due.TakingOver {
			_, err = k.takeOver(ctx, q)
		} else if due.Rotating {
			_, err = k.begin(ctx, q)
		}
		return err
	})
}

func (k *Keys) due(ctx context.Context, q *query.Queries) (query.SigningKeyDueRow, error) {
	due, err := q.SigningKeyDue(ctx, k.times.Rotation.Seconds(), k.times.Lead.Seconds())
	if err != nil {
		return due, fmt.Errorf("look for what is due of the signing keys: %w", err)
	}
	return due, nil
}

// change runs do in a transaction of its own while nobody else changes the keys.
func (k *Keys) change(ctx context.Context, do func(q *query.Queries) error) error {
	return pgx.BeginFunc(ctx, k.pool, func(tx pgx.Tx) error {
		q := query.New(tx)
		if err := q.SigningKeyLock(ctx); err != nil {
			return fmt.Errorf("wait for who changes the signing keys: %w", err)
		}
		if _, err := k.checkSecretKey(ctx, q); err != nil { // a key that the servers cannot open must not take over
			return err
		}
		return do(q)
	})
}

// checkSecretKey refuses a SECRET_KEY that is not the database's.
func (k *Keys) checkSecretKey(ctx context.Context, q *query.Queries) (query.SecretKeyCheck, error) {
	check, err := q.SecretKeyCheckGet(ctx)
	if isNoRows(err) {
		return check, ErrNoKeys
	}
	if err != nil {
		return check, fmt.Errorf("check SECRET_KEY: %w", err)
	}
	if !k.secret.Matches(check.Value) {
		return check, errors.New("SECRET_KEY is not the one that this database was set up with; set it back, or give that one as SECRET_KEY_PREVIOUS")
	}
	return check, nil
}

func (k *Keys) begin(ctx context.Context, q *query.Queries) (Rotation, error) {
	rows, err := q.SigningKeyList(ctx)
	if err != nil {
		return Rotation{}, fmt.Errorf("read signing keys: %w", err)
	}
	if len(rows) == 0 {
		return Rotation{}, ErrNoKeys
	}
	if rotation := rotationOf(rows); rotation.Next != "" {
		return rotation, nil
	}
	kid, err := k.create(ctx, q, query.SigningKeyStateNext)
	if err != nil {
		return Rotation{}, err
	}
	if rows, err = q.SigningKeyList(ctx); err != nil {
		return Rotation{}, fmt.Errorf("read signing keys: %w", err)
	}
	rotation := rotationOf(rows)
	rotation.Began = true
	return rotation, k.audit(ctx, q, query.AuditActionSigningKeyPublished, map[string]any{"kid": kid})
}

func rotationOf(rows []query.SigningKey) (rotation Rotation) {
	for _, row := range rows {
		switch row.State {
		case query.SigningKeyStateNext:
			rotation.Next, rotation.At = row.KID, row.SignsFrom.UTC()
		case query.SigningKeyStateCurrent:
			rotation.Previous = row.KID
		case query.SigningKeyStateRetired:
		}
	}
	return rotation
}

func (k *Keys) takeOver(ctx context.Context, q *query.Queries) (Rotation, error) {
	stopped, err := q.SigningKeyStop(ctx, k.times.RetireAfter.Seconds())
	if err != nil {
		return Rotation{}, fmt.Errorf("retire the current signing key: %w", err)
	}
	started, err := q.SigningKeyStart(ctx)
	if err != nil {
		return Rotation{}, fmt.Errorf("start the next signing key: %w", err)
	}
	return Rotation{Next: started.KID, Previous: stopped.KID, At: started.SignsFrom.UTC(), LeavesAt: stopped.LeavesAt.UTC()},
		k.audit(ctx, q, query.AuditActionSigningKeyTookOver, map[string]any{"kid": started.KID, "instead_of": stopped.KID})
}

func (k *Keys) erase(ctx context.Context, q *query.Queries) error {
	erased, err := q.SigningKeyErase(ctx)
	if err != nil {
		return fmt.Errorf("erase signing keys: %w", err)
	}
	for _, row := range erased {
		if err := k.audit(ctx, q, query.AuditActionSigningKeyRetired, map[string]any{"kid": row.KID, "was": row.State}); err != nil {
			return err
		}
	}
	return nil
}

// create makes a key, unless another server has made the one of this state.
func (k *Keys) create(ctx context.Context, q *query.Queries, state query.SigningKeyState) (string, error) {
	key, err := secret.NewSigningKey()
	if err != nil {
		return "", err
	}
	private, err := key.MarshalPrivate()
	if err != nil {
		return "", err
	}
	lead := time.Duration(0)
	if state == query.SigningKeyStateNext {
		lead = k.times.Lead
	}
	_, err = q.SigningKeyCreate(ctx, query.SigningKeyCreateParams{
		KID: key.ID, State: state, Sealed: k.secret.Seal(secret.PurposeSigningKey, private, []byte(key.ID)), LeadSeconds: lead.Seconds(),
	})
	if err != nil {
		return "", fmt.Errorf("store signing key: %w", err)
	}
	return key.ID, nil
}

// audit names the system or the command line in the row itself: neither is an account.
func (k *Keys) audit(ctx context.Context, q *query.Queries, action query.AuditAction, what map[string]any) error {
	id, err := newID()
	if err != nil {
		return err
	}
	what["by"] = k.by
	details, err := auditJSON(what)
	if err != nil {
		return err
	}
	if err := q.AuditCreate(ctx, query.AuditCreateParams{ID: id, Action: action, New: details}); err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return nil
}

package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/shiplock/shiplock/internal/seal"
	"github.com/shiplock/shiplock/internal/ship"
)

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, seal.KeySize) }

func sealed(t interface{ Fatal(...any) }, k, plain []byte) []byte {
	var out bytes.Buffer
	w, err := seal.NewWriter(&out, k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(k, box []byte) ([]byte, error) {
	r, err := seal.NewReader(bytes.NewReader(box), k)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestWhatIsSealedComesBackAndIsNotInTheOpen(t *testing.T) {
	// Around the size of a segment, where the last one may be empty or full.
	for _, size := range []int{0, 1, 1000, 1<<20 - 100, 1 << 20, 1<<20 + 1, 3 << 20} {
		plain := make([]byte, size)
		rand.Read(plain)
		box := sealed(t, key(1), plain)
		got, err := open(key(1), box)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: came back as %d bytes, %v", size, len(got), err)
		}
		if size >= 1000 && bytes.Contains(box, plain[:64]) {
			t.Errorf("%d bytes: the plain text is in the sealed stream", size)
		}
	}
}

func TestTheSamePlainTextIsNeverSealedAlike(t *testing.T) {
	if bytes.Equal(sealed(t, key(1), []byte("same")), sealed(t, key(1), []byte("same"))) {
		t.Error("two seals of one text are equal")
	}
}

func TestA55AnotherKeyFailsClosed(t *testing.T) {
	got, err := open(key(2), sealed(t, key(1), []byte("rows of users")))
	if ship.KindOf(err) != ship.Invalid || !strings.Contains(err.Error(), "another key") {
		t.Errorf("error is %v", err)
	}
	if len(got) > 0 {
		t.Errorf("read %q with the wrong key", got)
	}
}

func TestA55EveryCutIsNoticed(t *testing.T) {
	plain := make([]byte, 2<<20+12345)
	box := sealed(t, key(1), plain)
	cuts := []int{100, len(box) - 1}
	for n := range 90 { // through the headers, then around the end of each segment
		cuts = append(cuts, n)
	}
	for n := range 48 {
		cuts = append(cuts, 1<<20+n, 2<<20+n)
	}
	for _, cut := range cuts {
		if _, err := open(key(1), box[:cut]); ship.KindOf(err) != ship.Invalid {
			t.Errorf("cut to %d of %d bytes: %v", cut, len(box), err)
		}
	}
	if _, err := open(key(1), append(bytes.Clone(box), 0)); ship.KindOf(err) != ship.Invalid {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestA55EveryChangedByteIsNoticed(t *testing.T) {
	box := sealed(t, key(1), []byte("rows of users that nobody may change"))
	for i := range box {
		changed := bytes.Clone(box)
		changed[i] ^= 1
		if got, err := open(key(1), changed); ship.KindOf(err) != ship.Invalid || len(got) > 0 {
			t.Errorf("byte %d changed: read %q, %v", i, got, err)
		}
	}
}

func TestAWriterThatWasNotClosedLeavesACutStream(t *testing.T) {
	var out bytes.Buffer
	w, err := seal.NewWriter(&out, key(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(key(1), out.Bytes()); ship.KindOf(err) != ship.Invalid {
		t.Errorf("an unfinished stream was read: %v", err)
	}
}

func TestAFailingDiskIsNotCalledDamage(t *testing.T) {
	disk := errors.New("input/output error")
	box := sealed(t, key(1), make([]byte, 3<<20))
	for _, at := range []int64{5, 30, 2 << 20} {
		r, err := seal.NewReader(io.MultiReader(io.LimitReader(bytes.NewReader(box), at), iotest.ErrReader(disk)), key(1))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, disk) {
			t.Errorf("failing at %d: %v", at, err)
		}
	}
}

func TestOtherFilesAndOtherFormatsAreNamedAsSuch(t *testing.T) {
	if _, err := open(key(1), bytes.Repeat([]byte("x"), 200)); err == nil || !strings.Contains(err.Error(), "not sealed data") {
		t.Errorf("a foreign file: %v", err)
	}
	box := sealed(t, key(1), nil)
	box[len("shiplock seal\n")] = 9
	if _, err := open(key(1), box); err == nil || !strings.Contains(err.Error(), "format 9") {
		t.Errorf("a later format: %v", err)
	}
	if _, err := seal.NewWriter(io.Discard, []byte("short")); ship.KindOf(err) != ship.Invalid {
		t.Errorf("a short key: %v", err)
	}
}

func TestAnyTextInAnyPiecesComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, out bytes.Buffer
		w, err := seal.NewWriter(&out, key(3))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 300_000), 0, 6).Draw(t, "pieces") {
			piece := bytes.Repeat([]byte{byte(n)}, n)
			want.Write(piece)
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := seal.NewReader(iotest.HalfReader(&out), key(3))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%d bytes came back as %d, %v", want.Len(), len(got), err)
		}
	})
}

func TestAKeyIsMadeOnceAndKeptForItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	keys := make([][]byte, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			k, err := seal.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	all.Wait()
	for _, k := range keys {
		if len(k) != seal.KeySize || !bytes.Equal(k, keys[0]) {
			t.Errorf("key %x beside %x", k, keys[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAKeyThatCannotBeTrustedIsRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.key")
	if err := os.WriteFile(open, key(1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(dir, "short.key")
	if err := os.WriteFile(short, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.key")
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{open, short, link} {
		if _, err := seal.LoadOrCreateKey(path); ship.KindOf(err) != ship.Invalid {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAKeyCanBeWrittenInThreeWays(t *testing.T) {
	hexed, err := seal.ParseKey(ship.NewSecret(strings.Repeat("01", 32)))
	if err != nil || !bytes.Equal(hexed, key(1)) {
		t.Errorf("hexadecimal: %x, %v", hexed, err)
	}
	based, err := seal.ParseKey(ship.NewSecret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="))
	if err != nil || !bytes.Equal(based, key(1)) {
		t.Errorf("base64: %x, %v", based, err)
	}
	one, err := seal.ParseKey(ship.NewSecret("correct horse battery staple"))
	two, _ := seal.ParseKey(ship.NewSecret("correct horse battery staple"))
	other, _ := seal.ParseKey(ship.NewSecret("correct horse battery stable"))
	if err != nil || len(one) != seal.KeySize || !bytes.Equal(one, two) || bytes.Equal(one, other) {
		t.Errorf("passphrase: %x, %x, %x, %v", one, two, other, err)
	}
	if _, err := seal.ParseKey(ship.NewSecret("short")); ship.KindOf(err) != ship.Invalid {
		t.Errorf("short passphrase: %v", err)
	} else if strings.Contains(err.Error(), "short\"") {
		t.Errorf("the passphrase is in the error: %v", err)
	}
}

package payload

import (
	"bufio"
	"bytes"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// reprinter is a Node process that answers each line of JSON with
// JSON.stringify(JSON.parse(line)), which is what Smartcar's Node SDK signs.
type reprinter struct {
	in  io.WriteCloser
	out *bufio.Reader
}

const reprintScript = `
let rest = Buffer.alloc(0);
process.stdin.on('data', chunk => {
  rest = Buffer.concat([rest, chunk]);
  for (let end; (end = rest.indexOf(10)) >= 0; rest = rest.subarray(end + 1)) {
    let answer;
    try { answer = JSON.stringify(JSON.parse(rest.subarray(0, end).toString('utf8'))); }
    catch (e) { answer = 'ERROR ' + e.message.replaceAll('\n', ' '); }
    process.stdout.write(answer + '\n');
  }
});`

// newReprinter starts Node, and skips the test where there is none.
func newReprinter(tb testing.TB) *reprinter {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Skip("node is not in PATH; the canonical form is not compared with JavaScript's")
	}
	cmd := exec.Command(node, "-e", reprintScript)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &reprinter{in: in, out: bufio.NewReaderSize(out, 1<<16)}
}

// check fails unless text is exactly what Node prints after parsing it.
func (r *reprinter) check(t *testing.T, text []byte) {
	t.Helper()
	if bytes.IndexByte(text, '\n') >= 0 {
		t.Fatalf("a raw newline in %q", text)
	}
	if _, err := r.in.Write(append(slices.Clip(text), '\n')); err != nil {
		t.Fatalf("write to node: %v", err)
	}
	got, err := r.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("read from node: %v", err)
	}
	if got = got[:len(got)-1]; !bytes.Equal(got, text) {
		t.Fatalf("node reprints\n  %q\nas\n  %q", text, got)
	}
}

// tree makes a Value of arbitrary bytes, reading them as instructions, so that the
// fuzzer reaches every shape, string and number.
func tree(data *[]byte, depth int) Value {
	switch next(data) % 9 {
	case 0:
		return Null()
	case 1:
		return Bool(next(data)%2 == 0)
	case 2:
		return Int(int64(nextBits(data)))
	case 3:
		return Number(math.Float64frombits(nextBits(data)))
	case 4: // everyday magnitudes
		return Number(float64(int32(nextBits(data))) / 1e5)
	case 5:
		return Coordinate(float64(int32(nextBits(data))) / 1e7)
	case 6:
		var items []Value
		for n := next(data) % 8; n > 0 && depth > 0; n-- {
			items = append(items, tree(data, depth-1))
		}
		return Array(items...)
	case 7:
		var members []Member
		for n := next(data) % 8; n > 0 && depth > 0; n-- {
			members = append(members, Member{nextText(data), tree(data, depth-1)})
		}
		return Object(members...)
	}
	return String(nextText(data))
}

func next(data *[]byte) byte {
	if len(*data) == 0 {
		return 0
	}
	b := (*data)[0]
	*data = (*data)[1:]
	return b
}

func nextBits(data *[]byte) uint64 {
	var n uint64
	for range 8 {
		n = n<<8 | uint64(next(data))
	}
	return n
}

func nextText(data *[]byte) string {
	n := min(int(next(data)%24), len(*data))
	s := string((*data)[:n])
	*data = (*data)[n:]
	return s
}

// FuzzCanonical holds that what Append prints, Node reprints byte for byte. The
// input is JSON text, or else instructions for a tree.
func FuzzCanonical(f *testing.F) {
	node := newReprinter(f)
	f.Add([]byte(`{"version":"2.0","payload":{"vehicles":[{"data":[{"path":"/battery","code":200,"body":{"percentRemaining":0.64,"range":287.50}}]}]}}`))
	f.Add([]byte(`[-0,1.0,0.30,1e-7,1e21,9007199254740993,0.1,123456789.12345678]`))
	f.Add([]byte("[\"<>&\u2028\u2029\\u0000\\b\xff\",{\"__proto__\":1,\"constructor\":{}}]"))
	f.Add([]byte(`{"10":1,"2":2}`))
	f.Add([]byte{7, 3, 1, 'a', 3, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a, 1, 'b', 8, 3, 0xe2, 0x80, 0xa8})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if err != nil {
			v = tree(&data, 6)
		}
		text, err := Append(nil, v)
		if err != nil {
			return // refused: there is no canonical form
		}
		node.check(t, text)
	})
}

// trees is how many random payloads TestNodeReprintsTheSame makes; those that have no
// canonical form do not count.
var trees = flag.Int("trees", 10000, "random trees that Node prints too")

// TestNodeReprintsTheSame keeps Node busy: trees are written to it in batches, while
// what it printed of the batch before is compared.
func TestNodeReprintsTheSame(t *testing.T) {
	node := newReprinter(t)
	r := rand.New(rand.NewPCG(1, 2))
	batches := make(chan [][]byte, 8)
	failed := make(chan error, 1)
	go func() {
		defer close(batches)
		data := make([]byte, 400)
		for made := 0; made < *trees; {
			var batch [][]byte
			for len(batch) < min(500, *trees-made) {
				for i := range data {
					data[i] = byte(r.Uint32())
				}
				data[0] = 6 + data[0]%2 // an array or an object
				rest := data
				if text, err := Append(nil, tree(&rest, 6)); err == nil {
					batch = append(batch, text)
				}
			}
			made += len(batch)
			batches <- batch
			if _, err := node.in.Write(append(bytes.Join(batch, []byte{'\n'}), '\n')); err != nil {
				failed <- err
				return
			}
		}
	}()
	printed, size := 0, 0
	for batch := range batches {
		for _, text := range batch {
			got, err := node.out.ReadBytes('\n')
			if err != nil {
				t.Fatalf("read from node: %v", err)
			}
			if got = got[:len(got)-1]; !bytes.Equal(got, text) {
				t.Fatalf("node reprints\n  %q\nas\n  %q", text, got)
			}
			printed++
			size += len(text)
		}
	}
	select {
	case err := <-failed:
		t.Fatalf("write to node: %v", err)
	default:
	}
	if printed != *trees {
		t.Fatalf("%d of %d trees were printed", printed, *trees)
	}
	t.Logf("Node prints each of %d random trees the same, %d bytes in all", printed, size)
}

func TestNodeReprintsNumbersTheSame(t *testing.T) {
	node := newReprinter(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		items := make([]Value, 0, 400)
		for range 100 {
			scale := math.Pow(10, float64(r.IntN(16)))
			f := (r.Float64() - 0.5) * scale
			items = append(items, Number(f), Coordinate(f), Number(math.Round(f)), Coordinate(f/scale*360))
		}
		text, err := Append(nil, Array(items...))
		if err != nil {
			t.Fatal(err)
		}
		node.check(t, text)
	}
}

package store

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// FuzzReply hands a client any return values to a get. It never believes what does not
// verify, and says nothing false of what does.
func FuzzReply(f *testing.F) {
	genuine := mutable(f, "salt", 7, "2:v7")
	plain := Item{V: []byte("2:hi")}
	for _, it := range []Item{genuine, plain, mutable(f, "", 7, "2:v7"), {V: []byte("4:evil")}} {
		var r krpc.Message
		serve(&krpc.Message{Method: krpc.MethodGet}, &r, it, 3600)
		r.Token, r.Kind, r.TID = []byte("token"), krpc.KindReply, []byte("t")
		args := r.Append(nil)[len("d1:rd"):]
		f.Add(args[:len(args)-len("e1:t1:t1:y1:re")], int64(-1))
	}
	f.Add([]byte("3:seqi7e"), int64(7))
	f.Add([]byte("3:seqi9e3:ttli-1e"), int64(7))
	f.Add([]byte("1:vd1:bi0e1:ai0ee"), int64(7))
	f.Fuzz(func(t *testing.T, args []byte, seen int64) {
		for _, it := range []Item{genuine, plain} {
			target := it.Target()
			ss := newStubs(t, 2, target, func(int, *krpc.Message, *krpc.Message) {})
			ss.raw = func(i int, q *krpc.Message) []byte {
				b := append([]byte("d1:rd2:id20:"), ss.list[i].ID[:]...)
				b = append(append(b, args...), "e1:t4:"...)
				return append(append(b, q.TID...), "1:y1:re"...)
			}
			o := GetOptions{Salt: it.Salt}
			if seen >= 0 {
				o.Seen = &seen
			}
			ss.client.FindItem(target, o, func(res FindResult) {
				got := res.Item
				switch {
				case !res.Found:
				case got.Check() != nil || got.Target() != target || got.V == nil:
					t.Errorf("found %+v", got)
				case o.Seen != nil && got.Mutable() && got.Seq <= seen, res.Holders == 0, res.Left < 0, res.Left > Life:
					t.Errorf("found %+v", res)
				}
			})
			ss.client.PutItem(it, PutOptions{}, func(res PutResult, err error) {
				if res.Newer != nil && (res.Newer.Check() != nil || res.Newer.Target() != target) {
					t.Errorf("in the way %+v", res.Newer)
				}
			})
			ss.Clock.Run(time.Minute)
			ss.client.nodes[0].Close()
		}
	})
}

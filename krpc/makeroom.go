package krpc

// KeepNodes leaves n4 entries of Nodes and n6 of Nodes6 at most. Lists are sent closest
// first, so it is the farthest nodes that go.
func (m *Message) KeepNodes(n4, n6 int) {
	m.Nodes = m.Nodes[:min(len(m.Nodes), n4*Node4Len)]
	m.Nodes6 = m.Nodes6[:min(len(m.Nodes6), n6*Node6Len)]
}

// MakeRoom takes nodes out of the reply until Room is room or more, or none is left: the
// farthest first, and those of the asker's family last. It allocates nothing.
func (rq *Request) MakeRoom(room int) {
	r, v6 := &rq.Reply, rq.From.Addr().Is6()
	n4, n6 := len(r.Nodes)/Node4Len, len(r.Nodes6)/Node6Len
	for missing := room - rq.Room(); missing > 0 && n4+n6 > 0; {
		if n4 == 0 || n6 > 0 && !v6 {
			n6--
			missing -= Node6Len
		} else {
			n4--
			missing -= Node4Len
		}
	}
	r.KeepNodes(n4, n6)
}

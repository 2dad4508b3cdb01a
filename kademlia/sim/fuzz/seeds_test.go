package fuzz

// seeds are scripts to begin with.
func seeds() [][]byte {
	joined := script{}.config(0, 0).join()
	kept := script{}.config(1<<chooseJournal, 0).join()
	list := []script{
		{},
		script{}.config(0, 0).move(moveWait, hours),
		joined.move(moveCall, callFindPeers, 1).move(moveCall, callAnnounce, 2, 17).move(moveCall, callLookup, 3, 1).move(moveWait, minute),
		joined.move(moveCall, callPutItem, 9, 1).move(moveCall, callFindItem, 9, 1).move(moveWait, minute).move(moveWait, hours),
		kept.move(moveKeep, 0, 1, 17).move(moveKeep, 2, 9, 1).move(moveWait, minute).move(moveRestart).move(moveWait, hours).move(moveRestart, 0, 1<<restartKilled|1<<restartCompacted),
		script{}.config(1<<chooseOnly4|1<<choosePacer, 1).join().move(moveCall, callScrape, 1).move(moveServe, servingSybil).move(moveCall, callFindPeers, 4).move(moveWait, minute),
		script{}.config(1<<chooseUnspecified|1<<chooseLocal, 2).join().move(moveServe, servingLossy).move(moveCall, callWhenJoined).move(moveBlock, 1).move(moveWait, hours),
		joined.move(moveRefuse, 1).move(moveCall, callFindPeers, 1).move(moveServe, servingErrors).move(moveRefuse, 0).move(moveWait, minute).move(moveClose, 0).move(moveClose, 2).move(moveWait, minute).move(moveClose, 1),
		// Blocked while queries to them stood in line.
		script{}.config(1<<choosePacer, 0).join().lookups(20).move(moveBlock, 1).move(moveWait, minute),
		joined.move(moveServe, servingRefusing).move(moveCall, callAnnounce, 2, 17).move(moveCall, callPutItem, 9, 1).move(moveKeep, 2, 9, 2).move(moveWait, minute),
		// Errors for an answer.
		joined.move(moveServe, servingErrors).move(moveCall, callSample, 1, 0).move(moveCall, callPing, 1, 1).move(moveWait, minute),
		joined.move(moveRaw, 0, 58).raw("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe  "),
	}
	for method := byte(0); method < 8; method++ {
		s := joined
		for bit := range 16 {
			m := mask(1) << bit
			s = s.move(moveQuery, 10+2*byte(bit), method, 1, byte(m>>8), byte(m), 7, 7, 7).move(moveSpoiled, 2, 1, byte(bit), 1)
		}
		list = append(list, s)
	}
	// A token, an announce or a put with it, and who finds what was stored.
	for _, asks := range [][2]byte{{3, 4}, {5, 6}} {
		s := kept
		for i := range byte(4) {
			s = s.move(moveQuery, i, asks[0], 8+i, 0, 0, 5).move(moveQuery, i, asks[1], 8+i, 0, 0, 8+i, i)
			s = s.move(moveWait, second).move(moveQuery, i+7, asks[0], 8+i, 0, 0, 5)
		}
		list = append(list, s.move(moveRestart, 0, 1<<restartKilled).move(moveRestart, 0, 1<<restartCompacted).move(moveWait, hours))
	}
	for bit := range 16 {
		m, s := mask(1)<<bit, script{}.config(0, 0).move(moveWait, second)
		for i := range byte(8) {
			s = s.move(moveAnswer, i).move(moveAnswer, i, byte(m>>8), byte(m), i, i, i)
		}
		list = append(list, s.move(moveWait, minute))
	}
	var b [][]byte
	for _, s := range list {
		b = append(b, s.rest)
	}
	return b
}

// Powers of two of a millisecond, to wait for.
const (
	second = 10
	minute = 16
	hours  = 23
)

// config returns a script that begins with a configuration.
func (s script) config(choices mask, k byte) script {
	return s.add(configLen, byte(choices>>8), byte(choices), k)
}

// move returns s with a move more.
func (s script) move(choices ...byte) script { return s.add(moveLen, choices...) }

func (s script) raw(b string) script { return s.add(len(b), []byte(b)...) }

func (s script) add(n int, b ...byte) script {
	return script{append(append(s.rest[:len(s.rest):len(s.rest)], b...), make([]byte, n-len(b))...)}
}

// join returns s with the time and the strangers that it takes to join.
func (s script) join() script {
	return s.move(moveServe, servingHonest).move(moveWait, minute).move(moveWait, minute)
}

// lookups returns s with lookups that nobody waits for.
func (s script) lookups(n byte) script {
	for i := range n {
		s = s.move(moveCall, callLookup, i, 2+i%2)
	}
	return s
}

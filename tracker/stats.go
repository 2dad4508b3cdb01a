package tracker

// SwarmsStats is a snapshot of what a Swarms holds and has done. Expired peers
// count as held until Expire or an announce comes upon them.
type SwarmsStats struct {
	Hashes, MaxHashes int
	Peers4, Seeds4    int // seeds are among the peers
	Peers6, Seeds6    int
	Bytes, MaxBytes   int64 // charged for all of it

	// Filters are kept for scrapes of larger swarms: see Scrape.
	Filters, MaxFilters int

	// Announces refused and tokens withheld, by reason.
	RefusedFull, RefusedSubnet uint64

	Replaced uint64 // peers whose place another one took
	Evicted  uint64 // info-hashes that went while they still had peers
	Expired  uint64 // peers forgotten

	ScrapesRefused uint64 // for want of room for one more swarm's filters
}

// Stats returns the current figures. It takes the lock of one shard after the
// other for a moment, so sums may be off by what happens meanwhile.
func (s *Swarms) Stats() SwarmsStats {
	st := SwarmsStats{
		MaxHashes:  s.limits.hashes * len(s.shards),
		MaxBytes:   int64(s.limits.bytes) * int64(len(s.shards)),
		MaxFilters: maxFilters * len(s.shards),
	}
	for i := range s.shards {
		s.shards[i].addTo(&st)
	}
	return st
}

func (sh *shard) addTo(st *SwarmsStats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st.Hashes += len(sh.swarms)
	st.Peers4 += sh.peers[v4]
	st.Seeds4 += sh.seeds[v4]
	st.Peers6 += sh.peers[v6]
	st.Seeds6 += sh.seeds[v6]
	st.Bytes += int64(sh.bytes)
	st.RefusedFull += sh.counts.refusedFull
	st.RefusedSubnet += sh.counts.refusedSubnet
	st.Replaced += sh.counts.replaced
	st.Evicted += sh.counts.evicted
	st.Expired += sh.counts.expired
	st.ScrapesRefused += sh.counts.scrapesRefused
	if sh.filters != nil {
		st.Filters += sh.filters.Len()
	}
}

package metrics

import "github.com/prometheus/client_golang/prometheus"

// socketMetrics are about the UDP sockets, by address family.
type socketMetrics struct {
	packets, bytes, room, drops, errors, refusing *prometheus.Desc
}

func newSocketMetrics(d *descs) socketMetrics {
	return socketMetrics{
		packets:  d.add("socket_packets_total", "Datagrams received and sent.", "family", "direction"),
		bytes:    d.add("socket_bytes_total", "Payload of the datagrams received and sent.", "family", "direction"),
		room:     d.add("socket_receive_room_bytes", "Memory that datagrams which wait for the readers may take, about twice the size of the receive buffers (Linux). What the kernel grants is bounded by net.core.rmem_max.", "family"),
		drops:    d.add("socket_drops_total", "Datagrams dropped: too long (truncated), from a source that no reply can reach (martian), by the kernel for want of room in the receive buffer or because it was told to refuse queries of strangers (receive_buffer, on Linux), or for want of room in the send buffer (send_buffer).", "family", "reason"),
		refusing: d.add("socket_refusing_ratio", "The share of the queries of strangers that the kernel is told to drop now, since the receive buffer has stayed half full (Linux).", "family"),
		errors:   d.add("socket_errors_total", "Errors of the sockets, those that ICMP reports (unreachable) among them.", "family", "reason"),
	}
}

func (m *socketMetrics) collect(e emitter, t *total) {
	t.eachFamily(func(family string, f *familyTotal) {
		s := &f.socket
		e.counter(m.packets, s.PacketsIn, family, "in")
		e.counter(m.packets, s.PacketsOut, family, "out")
		e.counter(m.bytes, s.BytesIn, family, "in")
		e.counter(m.bytes, s.BytesOut, family, "out")
		e.gauge(m.room, float64(s.ReceiveRoom), family)
		e.counter(m.drops, s.Truncated, family, "truncated")
		e.counter(m.drops, s.Martians, family, "martian")
		e.counter(m.drops, s.Overflows, family, "receive_buffer")
		e.counter(m.drops, s.SendDrops, family, "send_buffer")
		e.gauge(m.refusing, s.Refusing, family)
		e.counter(m.errors, s.Unreachable, family, "unreachable")
		e.counter(m.errors, s.ReceiveErrors, family, "receive")
		e.counter(m.errors, s.SendErrors, family, "send")
	})
}

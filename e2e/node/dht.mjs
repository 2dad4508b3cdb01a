// The npm client of the DHT as a command, bittorrent-dht as it is:
//
//   node dht.mjs announce HOST:PORT INFOHASH PEERPORT
//   node dht.mjs lookup   HOST:PORT INFOHASH
//
// HOST:PORT is the node to join through. announce ends when the announcement is
// made; lookup prints one peer a line, as host:port.
import DHT from 'bittorrent-dht'

const [command, bootstrap, infoHash, peerPort] = process.argv.slice(2)
const dht = new DHT({ bootstrap: [bootstrap] })

dht.on('error', fail)
dht.on('peer', peer => {
  if (command === 'lookup') console.log(`${peer.host}:${peer.port}`)
})
dht.on('ready', () => {
  switch (command) {
    case 'announce': return dht.announce(infoHash, Number(peerPort), end)
    case 'lookup': return dht.lookup(infoHash, end)
    default: fail(new Error(`no command ${command}`))
  }
})

function end (err) {
  if (err) fail(err)
  dht.destroy()
}

function fail (err) {
  console.error(err)
  process.exit(1)
}

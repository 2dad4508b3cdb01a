// The npm client of the DHT as a command, bittorrent-dht as it is:
//
//   node dht.mjs announce HOST:PORT INFOHASH PEERPORT
//   node dht.mjs lookup   HOST:PORT INFOHASH
//   node dht.mjs put      HOST:PORT VALUE [KEYFILE SALT SEQ [CAS]]
//   node dht.mjs get      HOST:PORT TARGET [SALT]
//   node dht.mjs serve    HOST:PORT PORT
//
// HOST:PORT is the node to join through, or none. announce and put end when that is
// done; lookup prints one peer a line, as host:port, and get the item as JSON. serve is a
// node for others until it is killed. VALUE is bencoded, and that, TARGET and SALT are
// hexadecimal digits; KEYFILE is an ed25519 key in PEM.
import bencode from 'bencode'
import DHT from 'bittorrent-dht'
import crypto from 'crypto'
import { readFileSync } from 'fs'

const [command, bootstrap, ...args] = process.argv.slice(2)
const dht = new DHT({ bootstrap: bootstrap === 'none' ? false : [bootstrap], verify })

dht.on('error', fail)
dht.on('peer', peer => {
  if (command === 'lookup') console.log(`${peer.host}:${peer.port}`)
})
dht.on('ready', () => {
  switch (command) {
    case 'announce': return dht.announce(args[0], Number(args[1]), end)
    case 'lookup': return dht.lookup(args[0], end)
    case 'put': return dht.put(item(...args), end)
    case 'get': return dht.get(args[0], { salt: fromHex(args[1]) }, print)
    case 'serve': return
    default: fail(new Error(`no command ${command}`))
  }
})
if (command === 'serve') dht.listen(Number(args[0]))

function item (value, keyFile, salt, seq, cas) {
  const v = bencode.decode(fromHex(value))
  if (!keyFile) return { v }
  const key = crypto.createPrivateKey(readFileSync(keyFile))
  return {
    v,
    k: Buffer.from(key.export({ format: 'jwk' }).x, 'base64url'),
    salt: fromHex(salt),
    seq: Number(seq),
    cas: cas ? Number(cas) : undefined,
    sign: message => crypto.sign(null, message, key)
  }
}

function verify (sig, message, k) {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: k.toString('base64url') }
  return crypto.verify(null, message, crypto.createPublicKey({ key: jwk, format: 'jwk' }), sig)
}

function print (err, found) {
  if (!err && !found) err = new Error('no item found')
  if (err) fail(err)
  console.log(JSON.stringify({ value_hex: Buffer.from(bencode.encode(found.v)).toString('hex'), seq: found.seq }))
  dht.destroy()
}

// fromHex returns undefined for no digits.
function fromHex (digits) {
  return digits ? Buffer.from(digits, 'hex') : undefined
}

function end (err) {
  if (err) fail(err)
  dht.destroy()
}

function fail (err) {
  console.error(err)
  process.exit(1)
}

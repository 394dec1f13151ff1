// The reference of the benchmark: a server that parses with mqtt-packet, answers PUBACK, and does nothing else. Its answers to
// one chunk of input leave in one write, so it is as fast as a server on this parser can be. Prints its port.

import { type AddressInfo, createServer } from 'node:net'
import { type Packet, parser } from 'mqtt-packet'

const CONNACK = Buffer.from([0x20, 2, 0, 0])

const server = createServer((socket) => {
  socket.setNoDelay(true)
  const packets = parser({ protocolVersion: 4 })
  let answers: Buffer[] = []
  packets.on('packet', (packet: Packet) => {
    if (packet.cmd === 'connect') answers.push(CONNACK)
    if (packet.cmd === 'publish' && packet.qos === 1) {
      const id = packet.messageId ?? 0
      answers.push(Buffer.from([0x40, 2, id >> 8, id & 0xff]))
    }
  })
  packets.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    packets.parse(chunk)
    if (answers.length === 0) return
    socket.write(answers.length === 1 ? (answers[0] ?? '') : Buffer.concat(answers))
    answers = []
  })
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))

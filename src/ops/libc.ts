// The few calls of the C library that Node does not offer: flock(2) for the writer lock, and datagrams to a Unix socket
// for sd_notify. koffi is loaded at the first use; a machine that it cannot serve gets a clear error there, not at start.

import { closeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import type * as Koffi from 'koffi'
import { TidegateError } from '../core/errors.ts'

/** A socket that sends datagrams to one address. */
export interface DatagramSocket {
  /** Throws when the receiver is not there or takes no more. */
  send(text: string): void
  close(): void
}

type Call = (...values: readonly unknown[]) => number

interface Libc {
  readonly flock: Call
  readonly socket: Call
  readonly sendto: Call
  errno(): number
  name(errno: number): string
  readonly wouldBlock: number
}

// <sys/file.h>
const LOCK_EX = 2
const LOCK_NB = 4
// <sys/socket.h> of Linux
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
/** sizeof(sun_path) of <sys/un.h>. */
const MAX_SOCKET_PATH_BYTES = 108

let loaded: Libc | undefined

/** Takes an exclusive advisory lock on an open file; false when another process or descriptor holds it. Closing the file, or dying, releases it. */
export const tryLock = (fd: number): boolean => {
  const libc = load()
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true
  const errno = libc.errno()
  if (errno === libc.wouldBlock) return false
  throw new TidegateError('TG_DATA_UNUSABLE', `the file system refuses a lock (flock: ${libc.name(errno)})`)
}

/** Opens a datagram socket to a path, or to an abstract address that is written with a leading `@`. */
export const openDatagramSocket = (path: string): DatagramSocket => {
  const libc = load()
  const address = socketAddress(path)
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw new TidegateError('TG_INTERNAL', `a Unix socket cannot be made (${libc.name(libc.errno())})`)
  let open = true
  return {
    send(text) {
      if (!open) return
      const bytes = Buffer.from(text)
      const sent = libc.sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length)
      if (sent < 0)
        throw new TidegateError('TG_INTERNAL', `nobody takes datagrams at ${path} (${libc.name(libc.errno())})`)
    },
    close() {
      if (!open) return
      open = false
      closeSync(fd)
    },
  }
}

const load = (): Libc => {
  if (loaded !== undefined) return loaded
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi
    const library = koffi.load(null)
    const names = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]))
    loaded = {
      flock: library.func('int flock(int fd, int operation)'),
      socket: library.func('int socket(int domain, int type, int protocol)'),
      sendto: library.func(
        'intptr_t sendto(int fd, void *bytes, size_t size, int flags, void *address, uint32_t length)',
      ),
      errno: () => koffi.errno(),
      name: (errno) => names.get(errno) ?? `errno ${errno}`,
      wouldBlock: koffi.os.errno['EAGAIN'] ?? 11,
    }
    return loaded
  } catch (error) {
    throw new TidegateError('TG_INTERNAL', 'the C library cannot be called on this machine', { cause: error })
  }
}

// struct sockaddr_un: the family, then the path with its NUL, or a NUL and the abstract name without one.
const socketAddress = (path: string): Buffer => {
  const name = path.startsWith('@') ? Buffer.from(`\0${path.slice(1)}`) : Buffer.from(`${path}\0`)
  if (name.length > MAX_SOCKET_PATH_BYTES)
    throw new TidegateError('TG_INTERNAL', `the socket path is too long: ${path}`)
  const family = Buffer.alloc(2)
  if (endianness() === 'LE') family.writeUInt16LE(AF_UNIX)
  else family.writeUInt16BE(AF_UNIX)
  return Buffer.concat([family, name])
}

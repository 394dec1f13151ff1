import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { test } from 'tap'
import { openDatagramSocket, tryLock } from '../../src/ops/libc.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { until } from '../support/until.ts'

// Another process that takes the lock, says whether it got it, and stays until it is killed.
const child = `
import { openSync } from 'node:fs'
const { tryLock } = await import(process.argv[1])
console.log(tryLock(openSync(process.argv[2], 'r+')) ? 'locked' : 'refused')
setInterval(() => undefined, 1000)
`

test('the lock is held by one process, and a kill -9 releases it', async (t) => {
  const file = join(await temporaryDirectory(t), 'lock')
  await writeFile(file, '')
  const module = pathToFileURL(join(import.meta.dirname, '../../src/ops/libc.ts')).href
  const start = async () => {
    const spawned = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', child, module, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => spawned.kill('SIGKILL'))
    const [line] = await once(createInterface(spawned.stdout), 'line')
    return { process: spawned, line: String(line) }
  }
  const holder = await start()
  t.equal(holder.line, 'locked')
  const other = await start()
  t.equal(other.line, 'refused')
  const handle = await open(file, 'r+')
  t.teardown(() => handle.close())
  t.equal(tryLock(handle.fd), false, 'nor does this process get it')
  holder.process.kill('SIGKILL')
  await once(holder.process, 'close')
  await until('the lock is free', () => tryLock(handle.fd))
})

test('the lock belongs to the open file: closing it releases it', async (t) => {
  const file = join(await temporaryDirectory(t), 'lock')
  const one = await open(file, 'w')
  const two = await open(file, 'w')
  t.teardown(() => two.close())
  t.equal(tryLock(one.fd), true)
  t.equal(tryLock(one.fd), true, 'taking it again is no conflict with itself')
  t.equal(tryLock(two.fd), false)
  await one.close()
  t.equal(tryLock(two.fd), true)
})

test('what cannot be locked is an error that says why', (t) => {
  t.throws(() => tryLock(9_999), { code: 'TG_DATA_UNUSABLE', message: /EBADF/ })
  t.end()
})

test('a datagram that nobody takes is an error that says where', async (t) => {
  const path = join(await temporaryDirectory(t), 'socket')
  const socket = openDatagramSocket(path)
  t.throws(() => socket.send('x'), { code: 'TG_INTERNAL', message: /ENOENT/ })
  socket.close()
  socket.close()
  socket.send('after the end nothing happens')
  t.throws(() => openDatagramSocket(`/${'x'.repeat(200)}`), { message: /too long/ })
})

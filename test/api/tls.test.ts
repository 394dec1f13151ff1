import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { startApi } from '../support/api-server.ts'
import { temporaryDirectory } from '../support/directory.ts'

const hasOpenssl = () => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test('with a certificate everything is encrypted', { skip: hasOpenssl() ? false : 'openssl is missing' }, async (t) => {
  const directory = await temporaryDirectory(t)
  const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') }
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost']
  execFileSync('openssl', ['req', '-x509', ...made, '-keyout', files.key, '-out', files.cert], { stdio: 'ignore' })
  const tls = { cert: await readFile(files.cert, 'utf8'), key: await readFile(files.key, 'utf8') }
  const { url } = await startApi(t, { api: { tls, listen: { host: 'localhost', port: 0 } } })
  t.match(url, /^https:/)
  const trust = { ca: tls.cert, servername: 'localhost' }
  const status = await new Promise((resolve, reject) => {
    request(`${url}/livez`, trust, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end()
  })
  t.equal(status, 200)
  const ws = new WebSocket(`${url.replace('https', 'wss')}/api/v1/live`, { ...trust, origin: url })
  t.teardown(() => ws.terminate())
  const hello = await new Promise((resolve, reject) => {
    ws.on('message', (data) => resolve(JSON.parse(String(data))))
    ws.on('error', reject)
  })
  t.match(hello, { type: 'hello' })
})

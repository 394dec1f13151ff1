import { request } from 'node:https'
import { test } from 'tap'
import { WebSocket } from 'ws'
import { startApi } from '../support/api-server.ts'
import { selfSigned } from '../support/certificate.ts'

test('with a certificate everything is encrypted', async (t) => {
  const tls = selfSigned()
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

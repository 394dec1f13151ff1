import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { startApi } from '../support/api-server.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { liveClient } from '../support/live-client.ts'
import { until } from '../support/until.ts'

const tokens = [{ name: 'prometheus', hash: `sha256:${createHash('sha256').update('s3cret').digest('hex')}` }]

/** fetch() sets Host and Origin itself. */
const get = (url: string, headers: Record<string, string>, method = 'GET') =>
  new Promise<number>((resolve, reject) => {
    request(url, { headers, method }, (response) => resolve(response.resume().statusCode ?? 0))
      .on('error', reject)
      .end()
  })

/** Everything that the server answers to these bytes, until it closes. */
const raw = (url: string, bytes: string) =>
  new Promise<string>((resolve) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(answer))
    socket.write(bytes)
  })

test('operators are answered: alive, ready or why not, metrics, status, schema', async (t) => {
  const reasons = ['sink cloud: the upstream cannot be reached']
  let ready = true
  const { url } = await startApi(t, {
    api: { readiness: () => (ready ? { ready, reasons: [] } : { ready, reasons }), configSchema: { type: 'object' } },
  })
  t.equal((await fetch(`${url}/livez`)).status, 200)
  t.equal((await fetch(`${url}/readyz`)).status, 200)
  ready = false
  const unready = await fetch(`${url}/readyz`)
  t.equal(unready.status, 503)
  t.match(await unready.json(), { ready: false, reasons, code: 'TG_UNAVAILABLE', status: 503 })
  const metrics = await fetch(`${url}/metrics`)
  t.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.match(await metrics.text(), /# HELP tidegate_x/)
  t.same(await (await fetch(`${url}/api/v1/config-schema.json`)).json(), { type: 'object' })
})

test('what is not there, not allowed or broken is a problem with a code', async (t) => {
  const { logger, url } = await startApi(t)
  const cases: [method: string, path: string, status: number, code: string][] = [
    ['GET', '/nothing', 404, 'TG_NOT_FOUND'],
    ['GET', '/api/v2/readings', 404, 'TG_NOT_FOUND'],
    ['DELETE', '/api/v1/readings', 405, 'TG_METHOD_NOT_ALLOWED'],
    ['PUT', '/livez', 405, 'TG_METHOD_NOT_ALLOWED'],
    ['OPTIONS', '/api/v1/devices', 405, 'TG_METHOD_NOT_ALLOWED'],
    ['GET', '/api/v1/devices/%ff', 400, 'TG_BAD_REQUEST'],
    ['GET', '/%', 400, 'TG_BAD_REQUEST'],
    ['GET', '/api/v1/live', 400, 'TG_BAD_REQUEST'],
    ['GET', '/../../etc/passwd', 404, 'TG_NOT_FOUND'],
    ['GET', '/api/v1/status', 500, 'TG_INTERNAL'],
  ]
  for (const [method, path, status, code] of cases) {
    const response = await fetch(url + path, { method })
    t.equal(response.status, status, `${method} ${path}`)
    t.match(response.headers.get('content-type'), /^application\/problem\+json/)
    t.match(await response.json(), { type: /^urn:/, title: String, status, detail: String, code })
    if (status === 405) t.match(response.headers.get('allow'), /GET/)
  }
  t.equal(logger.lines.filter(({ level }) => level === 'error').length, 1)
})

test('the OpenAPI description names what the server answers', async (t) => {
  const { publish, url } = await startApi(t, { api: { configSchema: {} } })
  await publish('x', '{"a":1}')
  const description = await (await fetch(`${url}/api/v1/openapi.json`)).json()
  t.equal(description.openapi, '3.1.0')
  const references = JSON.stringify(description).matchAll(/"#\/components\/(\w+)\/(\w+)"/g)
  for (const [, kind, name] of references) t.ok(description.components[kind ?? ''][name ?? ''], `${kind} ${name}`)
  for (const [path, item] of Object.entries<object>(description.paths)) {
    const allow = (await fetch(url + path.replace('{device}', 'x'), { method: 'DELETE' })).headers.get('allow')
    for (const method of ['get', 'post'])
      if (method in item) t.match(allow, new RegExp(method.toUpperCase()), `${method} ${path}`)
  }
})

test('with tokens, the API and the metrics need one; liveness and the page do not', async (t) => {
  const webDirectory = await temporaryDirectory(t)
  await writeFile(join(webDirectory, 'index.html'), '<!doctype html>')
  const { url } = await startApi(t, { api: { tokens, webDirectory } })
  for (const path of ['/api/v1/readings', '/api/v1/devices', '/metrics', '/api/v1/openapi.json', '/api/v1/nothing']) {
    for (const authorization of ['', 'Bearer wrong', 'Basic s3cret', `Bearer ${'x'.repeat(5_000)}`]) {
      const refused = await fetch(url + path, { headers: { authorization } })
      t.equal(refused.status, 401, path)
      t.match(refused.headers.get('www-authenticate'), /^Bearer/)
      t.match(await refused.json(), { code: 'TG_UNAUTHORIZED' })
    }
    const allowed = await fetch(url + path, { headers: { authorization: 'Bearer s3cret' } })
    t.not(allowed.status, 401, path)
  }
  for (const path of ['/%61pi/v1/readings', '/api/v1/%72eadings', '/m%65trics', '/api/v1/devices/x?a=/livez'])
    t.equal(await get(url + path, { host: 'localhost' }), 401, 'however it is spelt')
  for (const path of ['/livez', '/readyz', '/']) t.equal((await fetch(url + path)).status, 200, path)
  t.equal((await fetch(`${url}/api/v1/readings?token=s3cret`)).status, 401)
})

test('names that point at this machine from elsewhere are refused, and so are writes from foreign pages', async (t) => {
  const { url } = await startApi(t, { api: { origins: ['https://panel.example'] } })
  const { port } = new URL(url)
  for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example'])
    t.equal(await get(`${url}/api/v1/readings`, { host }), 403, host)
  for (const host of [`127.0.0.1:${port}`, 'localhost', `[::1]:${port}`, 'panel.example', '10.0.0.1', 'a.localhost'])
    t.equal(await get(`${url}/api/v1/readings`, { host }), 200, host)
  const post = (origin: string) =>
    fetch(`${url}/api/v1/readings`, {
      method: 'POST',
      headers: { origin, 'content-type': 'application/json' },
      body: '{"device":"a","name":"b","value":1}',
    })
  t.equal((await post('https://evil.example')).status, 403)
  t.equal((await post('null')).status, 403)
  t.equal((await post(url)).status, 201)
  const foreign = await post('https://panel.example')
  t.equal(foreign.status, 201)
  t.equal(foreign.headers.get('access-control-allow-origin'), 'https://panel.example')
  const preflight = await fetch(`${url}/api/v1/readings`, {
    method: 'OPTIONS',
    headers: { origin: 'https://panel.example', 'access-control-request-method': 'POST' },
  })
  t.equal(preflight.status, 204)
  t.match(preflight.headers.get('access-control-allow-headers'), /authorization/)
})

test('the dashboard is served from memory, with a policy that runs nobody elses scripts', async (t) => {
  const webDirectory = await temporaryDirectory(t)
  await writeFile(join(webDirectory, 'index.html'), '<!doctype html><title>tidegate</title>')
  await writeFile(join(webDirectory, 'app.js'), 'export {}')
  await writeFile(join(webDirectory, 'secret.pem'), 'x')
  const { url } = await startApi(t, { api: { webDirectory } })
  const page = await fetch(`${url}/`)
  t.match(page.headers.get('content-type'), /^text\/html/)
  t.match(page.headers.get('content-security-policy'), /default-src 'self'.*frame-ancestors 'none'/)
  t.equal(page.headers.get('x-content-type-options'), 'nosniff')
  t.equal(page.headers.get('cache-control'), 'no-cache')
  t.match(await page.text(), /tidegate/)
  const etag = page.headers.get('etag') ?? ''
  t.equal((await fetch(`${url}/`, { headers: { 'if-none-match': etag } })).status, 304)
  t.match((await fetch(`${url}/app.js`)).headers.get('content-type'), /^text\/javascript/)
  t.equal((await fetch(`${url}/secret.pem`)).status, 404)
})

test('a body of 100 MB is refused at its beginning, whether its length is declared or not', async (t) => {
  const { url } = await startApi(t)
  const before = process.memoryUsage().rss
  for (const declared of [true, false]) {
    const status = await new Promise<number | string>((resolve) => {
      const headers = { 'content-type': 'application/json', ...(declared && { 'content-length': 100 * 2 ** 20 }) }
      const client = request(`${url}/api/v1/readings`, { method: 'POST', headers }, (response) =>
        resolve(response.resume().statusCode ?? 0),
      )
      client.on('error', (error) => resolve(String(error)))
      const chunk = Buffer.alloc(2 ** 16, ' ')
      let left = 1_600
      const write = () => {
        while (left-- > 0) if (!client.write(chunk)) return void client.once('drain', write)
        client.end()
      }
      write()
    })
    t.equal(status, 413, declared ? 'with content-length' : 'chunked')
  }
  t.ok(process.memoryUsage().rss - before < 60 * 2 ** 20)
  t.equal((await fetch(`${url}/livez`)).status, 200)
})

test('what is no HTTP is refused and hurts nobody', async (t) => {
  const { url } = await startApi(t)
  t.match(await raw(url, '\u0010\u000c\u0000\u0004MQTT\u0004\u0002\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*TG_BAD_REQUEST/)
  t.match(await raw(url, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431/)
  t.match(await raw(url, 'GET / HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400/)
  t.match(
    await raw(url, 'GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'),
    /^HTTP\/1\.1 200/,
    'an offer of another protocol is not taken',
  )
  t.match(
    await raw(
      url,
      'POST /livez HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 9\r\n\r\n',
    ),
    /^HTTP\/1\.1 400/,
  )
  t.match(
    await raw(url, 'GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'),
    /^HTTP\/1\.1 404 [\s\S]*problem\+json/,
  )
  t.equal((await fetch(`${url}/livez`)).status, 200)
})

test('a port in use is an error that names the port and the key', async (t) => {
  const { url } = await startApi(t)
  const port = Number(new URL(url).port)
  await t.rejects(startApi(t, { api: { listen: { host: '127.0.0.1', port } } }), {
    code: 'TG_PORT_IN_USE',
    message: new RegExp(`api\\.listen.*${port}`),
  })
  await t.rejects(startApi(t, { api: { listen: { host: '192.0.2.1', port: 0 } } }), { code: 'TG_LISTEN_FAILED' })
})

test('a certificate that is none is a configuration error', async (t) => {
  const tls = { cert: 'none', key: 'none' }
  await t.rejects(startApi(t, { api: { tls } }), { code: 'TG_CONFIG_INVALID', message: /api\.tls/ })
})

test('localhost is listened on by all its addresses, the WebSocket too', async (t) => {
  const { url } = await startApi(t, { api: { listen: { host: 'localhost', port: 0 } } })
  t.equal((await fetch(`${url}/livez`)).status, 200)
  await liveClient(t, url).next('hello')
})

test('closing works in any state, twice, and with connections that do nothing', async (t) => {
  const { server, url } = await startApi(t)
  const { hostname, port } = new URL(url)
  const idle = connect(Number(port), hostname)
  idle.on('error', () => idle.destroy())
  t.teardown(() => idle.destroy())
  await until('it is connected', () => idle.readyState === 'open')
  await Promise.all([server.close(), server.close()])
  await server.close()
  await until('the idle connection is gone', () => idle.closed)
  t.pass()
})

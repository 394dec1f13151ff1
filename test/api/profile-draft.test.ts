import { test } from 'tap'
import { startApi } from '../support/api-server.ts'
import { decoders } from '../support/profiles.ts'
import { until } from '../support/until.ts'

test('a draft is made from what a device, or a topic, has sent', async (t) => {
  const api = await startApi(t, { api: { decoders } })
  for (const [topic, payload] of [
    ['plants/fern', '{"moisture":41,"battery":90}'],
    ['z/attic/temperature', '21.5'],
    ['z/attic/humidity', '40'],
  ] as const)
    await api.log.deliver({ topic, payload: Buffer.from(payload), source: 'broker', qos: 1, retain: false })
  await until('they are shown', () => api.live.seq === 3)
  const draft = async (query: string) => {
    const response = await fetch(`${api.url}/api/v1/profile-draft?${query}`)
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
  }
  const fern = await draft('device=plants/fern')
  t.match(fern, { status: 200, type: /application\/yaml/ })
  t.match(fern.text, /match: moisture, unit: "%RH"/)
  t.match((await draft('device=z/attic')).text, /name: "\{name\}"/)
  t.match((await draft('topic=z/%2B/temperature')).text, /z\/\{device\}\/temperature/)
  t.match(await draft('topic=nothing/%23'), { status: 404, text: /nothing\/#/ })
  t.match(await draft('topic=a/%23/b'), { status: 400 })
  t.match(await draft(''), { status: 400, text: /'topic' or 'device'/ })
})

test('a draft is made from so many bytes of messages, and from the newest one in any case', async (t) => {
  const { publish, url } = await startApi(t)
  const draft = async () => (await fetch(`${url}/api/v1/profile-draft?topic=big`)).text()
  for (let index = 0; index < 12; index++) await publish('big', JSON.stringify({ x: index, text: 'x'.repeat(200_000) }))
  await publish('big', '{"x":1}')
  t.match(await draft(), /from 6 messages/)
})

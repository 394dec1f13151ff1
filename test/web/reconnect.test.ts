import { test } from 'tap'
import { builtPage, launch, open } from '../support/browser.ts'
import { dashboardGateway } from '../support/dashboard-gateway.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

test('the connection of the dashboard', needs('chromium'), async (t) => {
  const web = await builtPage(t)
  const browser = await launch(t)
  const unreachable = /ERR_CONNECTION_REFUSED|WebSocket connection to .* failed/

  t.test('comes back by itself after a restart, says since when it was away, and misses no final value', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/greenhouse/temperature', '20')
    const { page, complaints } = await open(browser, gateway.url)
    const subscriptions: string[] = []
    page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => void subscriptions.push(String(payload))))
    const pill = page.getByRole('status')
    const value = page.locator('.value')
    await value.getByText('20').waitFor()
    await pill.getByText('live').waitFor()
    t.equal(await pill.getAttribute('aria-live'), 'polite')

    const stoppedMs = Date.now()
    await gateway.stop()
    await pill.getByText('reconnecting since').waitFor()
    const sinceMs = Date.parse((await pill.locator('time').getAttribute('datetime')) ?? '')
    t.ok(sinceMs >= stoppedMs - 1_000 && sinceMs <= Date.now(), 'since the moment it was lost')
    t.match(await pill.textContent(), /reconnecting since \d\d:\d\d:\d\d$/)
    t.equal(await value.getByText('20').isVisible(), true, 'the last values stay in sight')
    t.match(await page.title(), /^reconnecting/)

    for (let degrees = 21; degrees <= 60; degrees++) gateway.publish('sensors/greenhouse/temperature', String(degrees))
    await gateway.start()
    gateway.publish('sensors/cellar/temperature', '12.5')
    await value.getByText('60').waitFor()
    await value.getByText('12.5').waitFor()
    await pill.getByText('live', { exact: true }).waitFor()
    t.same(
      JSON.parse(subscriptions.at(-1) ?? '{}'),
      { type: 'subscribe', id: 1, after: 1 },
      'it resumed where it stopped',
    )
    t.same(
      complaints.filter((text) => !unreachable.test(text)),
      [],
    )
  })

  t.test('says what could not be made up for', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/greenhouse/temperature', '20')
    const { page } = await open(browser, gateway.url)
    await page.locator('.value').getByText('20').waitFor()
    await gateway.stop()
    for (let count = 1; count <= 1_200; count++) gateway.publish('sensors/greenhouse/temperature', String(count))
    gateway.forget(8)
    await gateway.start()
    await page.locator('.value').getByText('1200').waitFor()
    await page.getByText('Up to 7 messages passed while this page was away').waitFor()
    t.pass()
  })

  t.test('starts afresh when another log answers under the same address', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    for (let degrees = 20; degrees < 30; degrees++) gateway.publish('sensors/greenhouse/temperature', String(degrees))
    const { page } = await open(browser, gateway.url)
    await page.locator('.value').getByText('29').waitFor()
    await gateway.stop()
    gateway.replaceLog()
    gateway.publish('sensors/cellar/temperature', '12')
    await gateway.start()
    await page.locator('.value').getByText('12').waitFor()
    t.equal(await page.getByRole('article').count(), 1)
  })

  t.test('is given up and made anew when the gateway falls silent', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/greenhouse/temperature', '20')
    const { page } = await open(browser, 'about:blank')
    await page.clock.install()
    let silent = false
    let connections = 0
    let unanswered = 0
    await page.routeWebSocket(/live/, (socket) => {
      connections++
      const server = socket.connectToServer()
      socket.onMessage((message) => {
        if (String(message).includes('"ping"')) unanswered++
        server.send(message)
      })
      server.onMessage((message) => {
        if (silent) return
        if (String(message).includes('"pong"')) unanswered--
        socket.send(message)
      })
    })
    await page.goto(gateway.url)
    await page.getByRole('status').getByText('live').waitFor()
    for (let elapsedMs = 0; elapsedMs < 60_000; elapsedMs += 2_000) {
      await page.clock.runFor(2_000)
      await until('the ping is answered', () => unanswered === 0)
    }
    t.equal(connections, 1, 'a quiet connection that answers pings is kept')
    silent = true
    await until('the silence is noticed', async () => {
      await page.clock.runFor(5_000)
      return (await page.getByRole('status').textContent())?.startsWith('reconnecting')
    })
    silent = false
    await until('it is live again', async () => {
      await page.clock.runFor(5_000)
      return (await page.getByRole('status').textContent()) === 'live'
    })
    t.ok(connections > 1)
  })

  t.test('asks for a token where one is required, and keeps it in memory only', async (t) => {
    const gateway = await dashboardGateway(t, { web, token: 'correct-horse' })
    gateway.publish('sensors/greenhouse/temperature', '20')
    const { page, complaints } = await open(browser, gateway.url)
    const field = page.getByLabel('Token')
    await field.fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').getByText('did not accept this token').waitFor()
    t.equal(await page.getByRole('article').count(), 0)
    await field.fill('correct-horse')
    await page.keyboard.press('Enter')
    await page.locator('.value').getByText('20').waitFor()
    await page.getByRole('region', { name: 'Log' }).waitFor()
    t.equal(page.url(), gateway.url)
    t.equal(await page.evaluate('localStorage.length + sessionStorage.length + document.cookie.length'), 0)

    await gateway.stop()
    await page.getByRole('status').getByText('reconnecting since').waitFor()
    gateway.publish('sensors/greenhouse/temperature', '21')
    await gateway.start()
    await page.locator('.value').getByText('21').waitFor()
    t.same(
      complaints.filter((text) => !unreachable.test(text)),
      [],
    )
  })
})

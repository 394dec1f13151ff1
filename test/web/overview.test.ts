import type { Page } from 'playwright-core'
import { test } from 'tap'
import { builtPage, launch, open } from '../support/browser.ts'
import { dashboardGateway } from '../support/dashboard-gateway.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

test('the dashboard', needs('chromium'), async (t) => {
  const web = await builtPage(t)
  const browser = await launch(t)

  const rowOf = (page: Page, device: string, name: string) =>
    page
      .getByRole('article', { name: device, exact: true })
      .locator('.row')
      .filter({ has: page.getByText(name, { exact: true }) })

  t.test('explains how to connect a first sensor, and shows its value within a second, without a reload', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    const { page, complaints } = await open(browser, gateway.url)
    await page.getByText('mosquitto_pub -h 127.0.0.1 -p').waitFor()
    t.match(
      await page.locator('pre').textContent(),
      /^mosquitto_pub -h 127\.0\.0\.1 -p \d+ -q 1 -t sensors\/greenhouse\/temperature -m 21\.5$/,
    )
    t.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'greenhouse')
    t.equal(await page.title(), 'greenhouse – tidegate')
    await page.evaluate('window.untouched = true')

    const publishedMs = performance.now()
    gateway.publish('sensors/greenhouse/temperature', '21.5 °C')
    const row = rowOf(page, 'sensors/greenhouse', 'temperature')
    await row.waitFor()
    t.ok(performance.now() - publishedMs < 1_000, 'it is there within a second')
    t.equal(await row.locator('.value').textContent(), '21.5 °C')
    t.equal(await page.getByText('mosquitto_pub').count(), 0)

    gateway.publish('sensors/greenhouse/temperature', '22.25 °C')
    await row.getByText('22.25').waitFor({ timeout: 1_000 })
    t.equal(await page.evaluate('window.untouched'), true, 'it is the same page still')
    t.same(complaints, [])
  })

  t.test('counts the age of each value, and tells the exact time beside it', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/greenhouse/temperature', '21.5')
    const { page } = await open(browser, gateway.url)
    const age = rowOf(page, 'sensors/greenhouse', 'temperature').locator('time')
    t.match(await age.getAttribute('title'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)
    t.equal(await age.getAttribute('title'), await age.getAttribute('datetime'))
    await age.getByText('1 s').waitFor()
    await age.getByText('2 s').waitFor()
    gateway.publish('sensors/greenhouse/temperature', '21.6')
    await age.getByText('0 s').waitFor()
  })

  t.test('tells ages by the gateway’s clock, not by the browser’s', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/greenhouse/temperature', '21.5')
    const { page } = await open(browser, 'about:blank')
    await page.clock.install({ time: Date.now() + 3_600_000 })
    await page.goto(gateway.url)
    const age = rowOf(page, 'sensors/greenhouse', 'temperature').locator('time')
    await until('the age is right by the gateway’s clock', async () => {
      await page.clock.runFor(1_000)
      return /^\d+ s$/.test((await age.textContent()) ?? '')
    })
    t.pass()
  })
})

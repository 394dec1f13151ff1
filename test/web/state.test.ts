import type { Page } from 'playwright-core'
import { test } from 'tap'
import type { StatusReport } from '../../src/core/status.ts'
import { builtPage, launch, open } from '../support/browser.ts'
import { dashboardGateway } from '../support/dashboard-gateway.ts'
import { needs } from '../support/needs.ts'

test('the state of things on the dashboard', needs('chromium'), async (t) => {
  const web = await builtPage(t)
  const browser = await launch(t)

  const rowOf = (page: Page, device: string, name: string) =>
    page
      .getByRole('article', { name: device, exact: true })
      .locator('.row')
      .filter({ has: page.getByText(name, { exact: true }) })

  t.test('shows faults with the last reason', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/attic', '{"broken":')
    gateway.publish('sensors/attic', '{"broken":')
    const { page } = await open(browser, gateway.url)
    const card = page.getByRole('article', { name: 'sensors/attic' })
    await card.getByText('2 faults').waitFor()
    t.ok(((await card.locator('.fault-reason').textContent()) ?? '').length > 5)
    gateway.publish('sensors/attic', '{"broken":')
    await card.getByText('3 faults').waitFor()
  })

  t.test('marks a device that has fallen silent', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    const { page } = await open(browser, gateway.url)
    const value = rowOf(page, 'sensors/attic', 'temperature').locator('.value')
    for (let degrees = 20; degrees < 28; degrees++) {
      gateway.publish('sensors/attic/temperature', String(degrees))
      await value.getByText(String(degrees)).waitFor()
      gateway.advance(10_000)
    }
    t.equal(await page.getByText('stale').count(), 0)
    gateway.advance(5 * 60_000)
    await page.getByText('stale, last heard 5 min ago').waitFor()
    gateway.publish('sensors/attic/temperature', '28')
    await page.getByText('stale').waitFor({ state: 'detached' })
  })

  t.test('says how sources, log and sinks are, since when and why', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.status = {
      sinks: [
        {
          name: 'cloud',
          type: 'amqp',
          state: 'degraded',
          since: Date.now() - 60_000,
          reason: 'cannot reach amqp://broker.example; messages are kept',
          position: 3,
          unsettled: [],
          backlogMessages: 1_204,
          confirmedMessages: 1,
          confirmedReadings: 4,
          rejectedMessages: 2,
          retries: 7,
        },
      ],
    }
    const { page, complaints } = await open(browser, gateway.url)
    await page.getByRole('link', { name: 'Upstream degraded, 1,204 waiting' }).waitFor()
    const sinks = page.getByRole('region', { name: 'Upstream' })
    t.equal(await sinks.locator('.part-title').textContent(), 'cloud amqp degraded')
    t.equal(await sinks.locator('.reason').textContent(), 'cannot reach amqp://broker.example; messages are kept')
    const figures = await sinks.locator('.figures > div').allTextContents()
    t.match(figures.shift(), /^since[\d:]{8}$/)
    t.same(figures, ['waiting1,204 messages', 'confirmed1 message', 'rejected2 messages', 'retries7'])
    t.match(await page.getByRole('region', { name: 'Sources' }).textContent(), /broker mqtt-broker ok/)
    t.match(await page.getByRole('region', { name: 'Log' }).textContent(), /lostnone/)
    t.same(complaints, [])
  })

  t.test('tells the newest losses: how many, why, when, and of whom most', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    const { log } = (await (await fetch(`${gateway.url}api/v1/status`)).json()) as StatusReport
    const mark = { first: 1, last: 9, count: 7, reason: 'retention', time: Date.now() } as const
    const skipped = { first: 10, last: 20, count: 0, reason: 'unclean-stop', time: Date.now() } as const
    const losses = [mark, { ...mark, count: 1, reason: 'rejected', devices: { 'sensors/attic': 1 } } as const, skipped]
    gateway.status = { log: { ...log, lost: { retention: 7, rejected: 1 }, losses } }
    const { page, complaints } = await open(browser, gateway.url)
    const listed = page.getByRole('list', { name: 'Newest losses' }).getByRole('listitem')
    await listed.first().waitFor()
    const [first = '', second = '', ...more] = await listed.allTextContents()
    t.match(first, /^1 message lost \(rejected\) [\d:]{8}, of sensors\/attic$/)
    t.match(second, /^7 messages lost \(retention\) [\d:]{8}$/)
    t.same(more, [], 'skipped seqs are no messages')
    t.match(await page.getByRole('region', { name: 'Log' }).textContent(), /lost7 retention, 1 rejected/)
    t.same(complaints, [])
  })
})

import type { Page } from 'playwright-core'
import { test } from 'tap'
import { builtPage, launch, open } from '../support/browser.ts'
import { dashboardGateway } from '../support/dashboard-gateway.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/until.ts'

test('values on the dashboard', needs('chromium'), async (t) => {
  const web = await builtPage(t)
  const browser = await launch(t)

  const rowOf = (page: Page, device: string, name: string) =>
    page
      .getByRole('article', { name: device, exact: true })
      .locator('.row')
      .filter({ has: page.getByText(name, { exact: true }) })

  t.test('writes every kind of value for people', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    const values = {
      count: 1234567,
      tiny: 1.5e-7,
      third: 1 / 3,
      door: true,
      pump: false,
      mode: 'auto',
      empty: '',
      none: -0,
    }
    gateway.publish('plant', JSON.stringify(values))
    const { page } = await open(browser, gateway.url)
    const value = (name: string) => rowOf(page, 'plant', name).locator('.value')
    await value('count').waitFor()
    t.equal(await value('count').textContent(), '1234567', 'what is copied is the number')
    t.equal(await value('tiny').textContent(), '1.5e-7')
    t.equal(await value('third').getAttribute('title'), '0.3333333333333333')
    t.equal(await value('door').textContent(), 'on')
    t.equal(await value('pump').textContent(), 'off')
    t.equal(await value('mode').textContent(), 'auto')
    t.equal(await value('none').textContent(), '0')
    t.equal(
      await page
        .getByRole('article')
        .locator('dt')
        .allTextContents()
        .then((names) => names.join()),
      'count,door,empty,mode,none,pump,third,tiny',
    )
  })

  t.test('keeps hostile names and values inert, and cuts what is long', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    const markup = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
    gateway.publish(`sensors/${markup}`, JSON.stringify({ [markup]: markup, __proto__: 1, long: 'x'.repeat(4_000) }))
    gateway.publish('__proto__/constructor', '"><svg onload=alert(1)>')
    gateway.publish('rtl/\u202egnp.exe/مستشعر', 'حار 🌡️\u202e')
    gateway.publish(`${'deep/'.repeat(60)}${'n'.repeat(500)}`, '{"a":1}')
    const { page, complaints } = await open(browser, gateway.url, { width: 360, height: 740 })
    await page.getByRole('article', { name: `sensors/${markup}` }).waitFor()
    await page.getByText('4 devices').waitFor()
    t.equal(await page.locator('article').count(), 4)
    t.equal(await page.locator('main img, main script, main svg').count(), 0)
    t.ok((await page.getByText('alert(1)').count()) >= 3, 'it is shown as text')
    t.ok(((await page.locator('.text', { hasText: 'xxxx' }).textContent()) ?? '').length <= 301)
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, 'nothing scrolls sideways')
    t.equal(await page.title(), 'greenhouse – tidegate')
    t.same(complaints, [])
  })

  t.test('finds devices and values by words, from the keyboard alone', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    gateway.publish('sensors/greenhouse', '{"temperature":21.5,"humidity":60}')
    gateway.publish('sensors/cellar', '{"temperature":12}')
    const { page } = await open(browser, gateway.url)
    await page.getByRole('article', { name: 'sensors/cellar' }).waitFor()
    await page.keyboard.press('Tab')
    t.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the devices')
    await page.keyboard.press('/')
    await page.keyboard.type('green humid')
    await page.getByText('1 of 2 devices').waitFor()
    t.same(await page.locator('.row dt').allTextContents(), ['humidity'])
    await page.keyboard.press('Escape')
    await page.getByText('2 devices, 3 values').waitFor()
    t.equal(await page.locator('.row').count(), 3)
  })

  t.test('touches only the card that changed, with two thousand values on the page', async (t) => {
    const gateway = await dashboardGateway(t, { web })
    const names = Array.from({ length: 10 }, (_, index) => `value${index}`)
    const payload = (seed: number) =>
      JSON.stringify(Object.fromEntries(names.map((name, index) => [name, seed + index / 10])))
    for (let device = 0; device < 200; device++) gateway.publish(`devices/d${device}`, payload(device))
    const { page, complaints } = await open(browser, gateway.url)
    await page.getByText('200 devices, 2,000 values').waitFor()
    // What is known of the devices comes behind their values, and has its own place on each card.
    const described = page.getByRole('button', { name: 'Draft a profile' })
    await until('all are described', async () => (await described.count()) === 200, 30_000)
    await page.evaluate(`{
      window.touched = new Set()
      new MutationObserver((changes) => {
        for (const { target } of changes) {
          const element = target instanceof Element ? target : target.parentElement
          if (element.closest('time') === null) window.touched.add(element.closest('article')?.getAttribute('aria-label'))
        }
      }).observe(document.getElementById('devices'), { subtree: true, childList: true, characterData: true, attributes: true })
    }`)
    for (let round = 1; round <= 50; round++) gateway.publish('devices/d7', payload(1_000 * round))
    await rowOf(page, 'devices/d7', 'value9').getByText('50000.9').waitFor()
    t.same(await page.evaluate('[...window.touched]'), ['devices/d7'])

    // The longest frame while every value of the page changes again and again.
    await page.evaluate(`{
      window.frames = []
      const frame = (last) => (now) => { window.frames.push(now - last); requestAnimationFrame(frame(now)) }
      requestAnimationFrame(frame(performance.now()))
    }`)
    for (let round = 1; round <= 5; round++) {
      for (let device = 0; device < 200; device++) gateway.publish(`devices/d${device}`, payload(round * 100 + device))
      await rowOf(page, 'devices/d199', 'value0')
        .getByText(String(round * 100 + 199))
        .waitFor()
    }
    const frames = await page.evaluate<number[]>('window.frames')
    t.comment(`longest of ${frames.length} frames: ${Math.round(Math.max(...frames))} ms`)
    t.ok(frames.length > 5)
    t.same(complaints, [])
  })
})

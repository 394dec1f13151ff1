// With TIDEGATE_SCREENSHOTS=DIRECTORY the pictures of the README are written there: phone and desktop, light and dark.

import { join } from 'node:path'
import { test } from 'tap'
import { builtPage, launch, open } from '../support/browser.ts'
import { type DashboardGateway, dashboardGateway } from '../support/dashboard-gateway.ts'
import { needs } from '../support/needs.ts'

/** WCAG 2.2, 1.4.3, for text of any size. */
const MIN_CONTRAST = 4.5

const SIZES = [
  { name: 'narrow', width: 360, height: 740 },
  { name: 'phone', width: 390, height: 844 },
  { name: 'desktop', width: 1280, height: 860 },
] as const

/** Every text on the page with the lowest contrast it has to the ground behind it, below `least`. */
const weakTexts = (least: number): string => `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number)
  const luminance = ([red, green, blue]) => {
    const linear = [red, green, blue].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  }
  const groundOf = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const ground = channels(getComputedStyle(at).backgroundColor)
      if (ground.length === 3 || ground[3] === 1) return ground
      if (ground[3] > 0) throw new Error('a ground that shows through cannot be measured')
    }
    throw new Error('no ground')
  }
  const weak = []
  let seen = 0
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    if (texts.currentNode.data.trim() === '' || element.closest('noscript')) continue
    seen++
    const [ink, ground] = [luminance(channels(getComputedStyle(element).color)), luminance(groundOf(element))]
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)
    if (contrast < ${least}) weak.push(texts.currentNode.data + ': ' + contrast.toFixed(2))
  }
  return { seen, weak }
})()`

type Values = Readonly<Record<string, readonly [value: number | string | boolean, unit?: string]>>

/** One message with all of a device's values. */
const senml = (values: Values): string => {
  const member = { number: 'v', string: 'vs', boolean: 'vb' } as const
  return JSON.stringify(
    Object.entries(values).map(([n, [value, u]]) => ({ n, u, [member[typeof value as keyof typeof member]]: value })),
  )
}

/** A small house with something of everything: fresh and old values, switches, a fault, an upstream that is away. */
const furnish = (gateway: DashboardGateway) => {
  gateway.publish('sensors/cellar', senml({ humidity: [71, '%RH'], temperature: [12.4, 'Cel'], leak: [false] }))
  gateway.advance(7 * 60_000)
  const sky = 'light rain from the west, clearing by the evening'
  gateway.publish('weather/roof', senml({ pressure: [1013.25, 'hPa'], wind: [3.4, 'm/s'], sky: [sky] }))
  gateway.publish('weather/roof', '{"rain":0.')
  gateway.advance(42_000)
  gateway.publish('garden/well', senml({ level: [2.61, 'm'], pump: [false] }))
  const unit = 'buildings/0/floors/3/rooms/314/ventilation-unit-north'
  gateway.publish(unit, senml({ speed: [62, '%'], filter: ['change soon'] }))
  gateway.advance(11_000)
  const heating = {
    power: [1840, 'W'],
    energy: [18321.482, 'kWh'],
    flow: [38.5, 'Cel'],
    running: [true],
    mode: ['heating'],
  } as const
  gateway.publish('house/heat-pump', senml(heating))
  gateway.publish(
    'sensors/greenhouse',
    senml({ temperature: [21.5, 'Cel'], humidity: [64, '%RH'], co2: [611, 'ppm'], window: [false] }),
  )
  const sink = {
    position: 9,
    unsettled: [],
    confirmedReadings: 9_204,
    rejectedMessages: 0,
    since: Date.now() - 160_000,
  }
  gateway.status = {
    sinks: [
      {
        ...sink,
        name: 'embedded',
        type: 'amqp1',
        state: 'ok',
        backlogMessages: 0,
        confirmedMessages: 18_422,
        retries: 0,
        lastProgressAt: Date.now() - 2_000,
      },
      {
        ...sink,
        name: 'cloud',
        type: 'amqp',
        state: 'degraded',
        reason: 'amqp://broker.example:5672 cannot be reached; messages are kept',
        backlogMessages: 1_204,
        confirmedMessages: 17_218,
        retries: 7,
        lastProgressAt: Date.now() - 160_000,
      },
    ],
  }
}

test('the look of the dashboard', needs('chromium'), async (t) => {
  const browser = await launch(t)
  const gateway = await dashboardGateway(t, { web: await builtPage(t) })
  const directory = process.env['TIDEGATE_SCREENSHOTS']
  furnish(gateway)

  for (const colorScheme of ['light', 'dark'] as const)
    for (const { name, width, height } of SIZES)
      t.test(`is readable and fits at ${width} pixels, ${colorScheme}`, async (t) => {
        const { page, complaints } = await open(browser, gateway.url, { width, height, colorScheme })
        await page.getByRole('region', { name: 'Upstream' }).waitFor()
        await page.locator('.faults').first().waitFor()
        t.equal(await page.evaluate('document.documentElement.scrollWidth'), width, 'nothing scrolls sideways')
        const { seen, weak } = await page.evaluate<{ seen: number; weak: string[] }>(weakTexts(MIN_CONTRAST))
        t.ok(seen > 50)
        t.same(weak, [], 'every text can be told from its ground')
        const dark = await page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
        t.equal(/rgb\((\d+)/.exec(dark)?.[1] === '13', colorScheme === 'dark', 'it follows the reader’s preference')
        t.same(complaints, [])
        if (directory !== undefined)
          await page.screenshot({ path: join(directory, `dashboard-${name}-${colorScheme}.png`) })
        await page.context().close()
      })

  t.test('moves nothing for readers who want less motion', async (t) => {
    const { page } = await open(browser, gateway.url, { reducedMotion: 'reduce' })
    await page.locator('.age').first().waitFor()
    t.match(await page.evaluate('getComputedStyle(document.querySelector(".age")).transitionDuration'), /^0s$/)
    t.equal(await page.evaluate('getComputedStyle(document.documentElement).scrollBehavior'), 'auto')
  })
})

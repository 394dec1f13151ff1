import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { builtPage, launch, open } from '../support/browser.ts'
import { dashboardGateway } from '../support/dashboard-gateway.ts'
import { needs } from '../support/needs.ts'

test('the card of a device without a profile gives a draft of one', needs('chromium'), async (t) => {
  const web = await builtPage(t)
  const browser = await launch(t)
  const gateway = await dashboardGateway(t, { web })
  gateway.publish('plants/fern', '{"moisture":41,"battery":90}')
  const { page, complaints } = await open(browser, gateway.url)
  const button = page.getByRole('article', { name: 'plants/fern' }).getByRole('button', { name: 'Draft a profile' })
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()])
  t.equal(download.suggestedFilename(), 'plants-fern.yaml')
  const text = await readFile(await download.path(), 'utf8')
  t.match(text, /topics: \["plants\/\{device\}"\]/)
  t.match(text, /match: moisture, unit: "%RH"/)
  t.strictSame(complaints, [])
  if (process.env['TIDEGATE_SHOT'] !== undefined) await page.screenshot({ path: process.env['TIDEGATE_SHOT'] })
})

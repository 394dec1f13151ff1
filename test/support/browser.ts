// Chromium for the dashboard's tests: the page built anew, opened in a window of a given size and colour scheme, with
// everything remembered that the browser complained about.

import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { bundleWeb } from '../../scripts/bundle-web.js'
import { temporaryDirectory } from './directory.ts'

const EXECUTABLE = '/usr/bin/chromium'

interface Test {
  teardown(work: () => Promise<void>): void
}

/** The dashboard as it is shipped, in a directory of the test's own. */
export const builtPage = async (t: Test): Promise<string> => {
  const directory = join(await temporaryDirectory(t), 'web')
  await bundleWeb(directory)
  return directory
}

export const launch = async (t: Test): Promise<Browser> => {
  const browser = await chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  t.teardown(() => browser.close())
  return browser
}

export interface Window {
  readonly width?: number
  readonly height?: number
  readonly colorScheme?: 'light' | 'dark'
  readonly reducedMotion?: 'reduce' | 'no-preference'
}

export interface OpenPage {
  readonly page: Page
  /** Errors on the console (violations of the Content Security Policy among them), exceptions, and dialogs. */
  readonly complaints: string[]
}

export const open = async (browser: Browser, url: string, window: Window = {}): Promise<OpenPage> => {
  const { width = 1280, height = 800, colorScheme = 'light', reducedMotion = 'reduce' } = window
  const context = await browser.newContext({
    viewport: { width, height },
    deviceScaleFactor: width < 600 ? 2 : 1,
    colorScheme,
    reducedMotion,
    timezoneId: 'Europe/Berlin',
  })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  await page.goto(url)
  return { page, complaints }
}

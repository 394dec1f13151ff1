import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { brief } from '../../support/decoding.ts'
import { dialectDecoder } from '../../support/dialect.ts'

const decode = dialectDecoder('nmea')

/** With its checksum. */
const sentence = (body: string): string => {
  const sum = [...body].reduce((value, character) => value ^ character.charCodeAt(0), 0)
  return `$${body}*${sum.toString(16).toUpperCase().padStart(2, '0')}\r\n`
}
const at = (iso: string) => ({ receivedAt: Date.parse(iso) })
const timeOf = ({ readings }: ReturnType<typeof decode>): string | undefined => {
  const timeMs = readings.find(({ name }) => name === 'lat')?.timeMs
  return timeMs === undefined ? undefined : new Date(timeMs).toISOString()
}

test('a checksum is verified where there is one, and required where that is asked', async (t) => {
  const gll = 'GPGLL,5129.0623,N,00632.2910,E,102128.00,A,A'
  t.match(decode(sentence(gll)), { fault: undefined, readings: { length: 3 } })
  t.match(decode(sentence(gll).toLowerCase().replace(/^.*\*/s, `$${gll}*`)), { fault: undefined })
  t.match(decode(`$${gll}`), { fault: undefined, readings: { length: 3 } })
  t.match(decode(`$${gll}*00`), { readings: [], fault: /checksum is 00, but [0-9A-F]{2} would be right/ })
  t.match(decode(`$${gll}*4`), { readings: [], fault: /checksum is cut off/ })
  t.match(dialectDecoder('nmea', { checksum: 'required' })(`$${gll}`), { readings: [], fault: /no checksum/ })
})

test('what is damaged or binary costs its own sentence, and no other', async (t) => {
  const good = sentence('IIMTW,18.2,C')
  for (const noise of [
    '\xff\xfe\x00\x01',
    '$GPGGA,1021\xff28,5129.06',
    '$GPGGA,102128.000,5129',
    '#comment',
    '*7E',
    '$,,,*00',
  ])
    for (const payload of [`${noise}\r\n${good}`, `${good}${noise}`, `${noise}${good}`])
      t.match(decode(Buffer.from(payload, 'latin1')), {
        readings: [{ name: 'water.temperature', value: 18.2 }],
        fault: /./,
      })
  t.match(decode(good + good.repeat(2)), { readings: { length: 3 }, fault: undefined })
  t.match(decode(`\0\0 ${good.trim()}`), { fault: undefined })
  t.match(decode(`\\g:1-2-73874,n:157036,s:r003669945*4A\\${good}`), { readings: { length: 1 }, fault: undefined })
  t.match(decode(`$GPGGA,${'1'.repeat(2_000)}`), { readings: [], fault: /2007 characters/ })
  t.match(decode(''), { fault: /empty/ })
  t.match(decode('$'.repeat(60_000)), { readings: [], fault: /more than 1000 sentences/ })
})

test("makers' own sentences and unknown ones are no readings and no fault", async (t) => {
  for (const body of [
    'PMTK001,604,1',
    'PUBX,00,081350.00',
    'GPTXT,01,01,02,hello',
    'CCGPQ,GGA',
    'GPZZZ,1',
    'IIRSA,1,A,,',
  ])
    t.strictSame(brief(decode(sentence(body))), [], body)
  t.strictSame(brief(decode('!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D')), [])
})

test('a position that the sentence calls invalid is doubtful, and no reading', async (t) => {
  const position = '5129.0623,N,00632.2910,E'
  for (const body of [
    `GPRMC,102127,V,${position},0.33,30.68,210226,,,N`,
    `GPRMC,102127,A,${position},0.33,30.68,210226,,,N`,
    `GPGLL,${position},102127,V,N`,
    `GPGLL,${position},102127,V`,
    `GPGGA,102127,${position},0,00,99.9,29.7,M,47.4,M,,`,
    `GNGNS,102127,${position},NN,00,99.9,29.7,47.4,,`,
  ]) {
    const decoding = decode(sentence(body))
    t.strictSame(
      decoding.readings
        .filter(({ name }) => name !== 'satellites')
        .map(({ name, value, timeMs }) => [name, value, timeMs]),
      [['fix', 'none', undefined]],
      body,
    )
    t.match(decoding.doubtful?.slice(0, 2), [
      { device: 'house/meter', name: 'lat', reason: 'faulty', value: 51.484371667 },
      { name: 'lon', value: 6.538183333 },
    ])
    t.equal(decoding.fault, undefined)
  }
  // Nothing there at all, as a receiver says after it was switched on.
  const empty = decode(sentence('GPRMC,,V,,,,,,,,,,N') + sentence('GPGGA,,,,,,0,00,99.99,,,,,,'))
  t.strictSame(brief(empty), ['fix="none"', 'fix="none"', 'satellites=0 count'])
})

test('the date is that of RMC, else the one nearest to the arrival', async (t) => {
  const rmc = (time: string, date: string) => sentence(`GPRMC,${time},A,5129.0,N,00632.0,E,,,${date},,,A`)
  const gga = (time: string) => sentence(`GPGGA,${time},5129.0,N,00632.0,E,1,4,1.3,29.7,M,47.4,M,,`)
  t.equal(timeOf(decode(rmc('102127.25', '201126'))), '2026-11-20T10:21:27.250Z')
  t.equal(timeOf(decode(rmc('235960', '311226'))), '2027-01-01T00:00:00.000Z', 'a leap second')
  t.equal(timeOf(decode(gga('235959.9'), at('2026-11-20T00:00:01Z'))), '2026-11-19T23:59:59.900Z')
  t.equal(timeOf(decode(gga('000001'), at('2026-12-31T23:59:58Z'))), '2027-01-01T00:00:01.000Z')
  t.equal(timeOf(decode(gga('101500'), at('2026-11-20T10:15:02Z'))), '2026-11-20T10:15:00.000Z')
  const before = sentence('GPZDA,235958,18,03,2020,00,00') + gga('000000')
  t.equal(timeOf(decode(before)), '2020-03-19T00:00:00.000Z', 'ZDA of the same message comes before the arrival')
  for (const [time, date] of [
    ['102127', '300226'],
    ['102127', '000000'],
    ['102127', '060405'],
    ['102127', '060480'],
  ] as const)
    t.equal(timeOf(decode(rmc(time, date))), undefined, `${date} cannot be right, or is of a receiver that rolled over`)
  t.match(decode(rmc('252127', '201126')), { fault: /no time of day: 252127/ })
  t.equal(timeOf(decode(gga('101500'), { receivedAt: 5_000 })), undefined, 'a gateway whose clock was never set')
})

test('fields that are empty have no value, and bad ones are named', async (t) => {
  t.strictSame(brief(decode(sentence('GPVTG,,T,,M,,N,,K,A'))), ['fix="gps"'])
  t.strictSame(brief(decode(sentence('GPVTG,54.7,T,34.4,M,,N,36.0,K'))), [
    'course=54.7 deg',
    'course.magnetic=34.4 deg',
    'speed=10 m/s',
  ])
  const bad = decode(sentence('GPGGA,102128,5160.0,N,00632.2910,E,1,4x,1.31,29.7,M,47.4,M,,'))
  t.match(brief(bad), ['fix="gps"', 'altitude=29.7 m', 'geoid-separation=47.4 m', 'hdop=1.31', /no position: 5160.0,N/])
  for (const position of ['9030.0,N,00632.0,E', '5129.0,X,00632.0,E', '5129.0,N,18130.0,E', '5129.0,,00632.0,E'])
    t.match(decode(sentence(`GPGLL,${position},,A`)), { readings: [], fault: /no position/ })
  t.match(decode(sentence('GPRMC,102127,A,5129.0,N')), {
    readings: [],
    fault: /5 fields instead of 11|4 fields instead of 11/,
  })
  t.match(decode(sentence('GPVTG,1e5,T,0x10,M,NaN,N,,K')), { readings: [], fault: /no number/ })
})

test('instruments are read in their own units', async (t) => {
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ['HEHDT,274.07,T', ['heading.true=274.07 deg']],
    ['HCHDM,238,M', ['heading.magnetic=238 deg']],
    [
      'HCHDG,101.1,1.5,W,7.1,E',
      ['heading.magnetic=101.1 deg', 'heading.deviation=-1.5 deg', 'magnetic-variation=7.1 deg'],
    ],
    ['IIMTW,64.4,F', ['water.temperature=18 Cel']],
    ['SDDBT,7.8,f,2.4,M,1.3,F', ['depth.below-transducer=2.4 m']],
    ['SDDBT,10,f,,M,,F', ['depth.below-transducer=3.048 m']],
    ['SDDPT,2.4,0.6', ['depth.below-transducer=2.4 m', 'depth.below-surface=3 m']],
    ['SDDPT,2.4,', ['depth.below-transducer=2.4 m']],
    ['WIMWV,214.8,T,36,K,A', ['wind.true.angle=214.8 deg', 'wind.true.speed=10 m/s']],
    [
      'WIMWD,302,T,300,M,14.6,N,7.5,M',
      ['wind.direction=302 deg', 'wind.direction.magnetic=300 deg', 'wind.speed=7.5 m/s'],
    ],
    ['VWVHW,45.1,T,43.2,M,3600,N,,K', ['heading.true=45.1 deg', 'heading.magnetic=43.2 deg', 'water.speed=1852 m/s']],
    [
      'GPGST,172814,0.006,0.023,0.020,273.6,0.023,0.020,0.031',
      ['error.rms=0.006 m', 'error.lat=0.023 m', 'error.lon=0.02 m', 'error.altitude=0.031 m'],
    ],
    [
      'YXXDR,A,-5.2,D,PTCH,S,1,,DOOR,P,101325,P,,G,7,,',
      ['xdr.PTCH=-5.2 deg', 'xdr.DOOR=true', 'xdr.P3=101325 Pa', 'xdr.G4=7'],
    ],
    [
      'GNGNS,102128,5129.0,N,00632.0,W,DAN,14,0.9,29.7,47.4,3.0,0133',
      [
        'fix="dgps"',
        'lat=51.483333333 lat',
        'lon=-6.533333333 lon',
        'altitude=29.7 m',
        'geoid-separation=47.4 m',
        'hdop=0.9',
        'dgps.age=3 s',
        'satellites=14 count',
      ],
    ],
    [
      'WIMDA,29.92,I,1.0132,B,21.5,C,,C,45.5,,9.1,C,302,T,300,M,14.6,N,7.5,M',
      [
        'pressure=1013.2 hPa',
        'air.temperature=21.5 Cel',
        'humidity=45.5 %RH',
        'dew-point=9.1 Cel',
        'wind.direction=302 deg',
        'wind.direction.magnetic=300 deg',
        'wind.speed=7.5 m/s',
      ],
    ],
  ]
  for (const [body, expected] of lines) t.strictSame(brief(decode(sentence(body))), expected, body)
  t.match(decode(sentence('WIMWV,214.8,R,10.0,N,V')), { readings: [], doubtful: [{ name: 'wind.relative.angle' }, {}] })
  t.match(decode(sentence('WIMWV,214.8,R,10.0,Q,A')), { readings: { length: 1 }, fault: /no unit of speed: Q/ })
})

test('satellites are counted, and listed where that is asked', async (t) => {
  const gsv = '$GPGSV,3,3,10,28,13,265,,31,08,100,15*7A'.replace(/\*..$/, '')
  t.strictSame(brief(decode(gsv)), [])
  t.strictSame(brief(decode(gsv.replace('3,3,10', '3,1,10'))), ['satellites.in-view.GP=10 count'])
  t.strictSame(brief(dialectDecoder('nmea', { satellites: true })(gsv)), [
    'satellite.GP.28.elevation=13 deg',
    'satellite.GP.28.azimuth=265 deg',
    'satellite.GP.31.elevation=8 deg',
    'satellite.GP.31.azimuth=100 deg',
    'satellite.GP.31.snr=15 dB',
  ])
})

const folder = new URL('../../../../shared/samples/nmea/', import.meta.url)
const skip = !existsSync(folder) && 'no samples here'
const lines = (name: string): readonly Buffer[] =>
  readFileSync(new URL(name, folder), 'latin1')
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .map((line) => Buffer.from(line, 'latin1'))

test('the recorded receivers give as many good and bad lines as they have', { skip }, async (t) => {
  // Comments are no sentences. The BU-303 spoke the SiRF binary protocol: not a single sentence is in its log.
  for (const [name, good, bad] of [
    ['nmea-fuzzy-cases.log', 28, 8],
    ['mtk-3329.log', 28, 7],
    ['bu303-moving.log', 0, 42],
  ] as const) {
    const decodings = lines(name).map((line) => decode(line))
    t.equal(decodings.filter(({ fault }) => fault === undefined).length, good, name)
    t.equal(decodings.filter(({ fault }) => fault !== undefined).length, bad, name)
    for (const { readings, fault } of decodings) t.ok(fault === undefined || readings.length === 0)
  }
})

/** gpsd's names, and how exactly it prints. */
const TPV = [
  ['lat', 'lat', 1e-8],
  ['lon', 'lon', 1e-8],
  ['altitude', 'alt', 1e-4],
  ['geoid-separation', 'geoidSep', 1e-3],
  ['speed', 'speed', 6e-4],
  ['course', 'track', 1e-4],
  ['dgps.age', 'dgpsAge', 0.05],
] as const

test('values are those of gpsd', { skip }, async (t) => {
  let compared = 0
  // gpsd translated the binary protocol of the BU-303 into sentences, rounded, and reports the value before that.
  for (const [name, slack] of [
    ['nmea-fuzzy-cases.log.chk', 1],
    ['mtk-3329.log.chk', 1],
    ['bu303-moving.log.chk', 100],
  ] as const) {
    let told = new Map<string, { value: unknown; timeMs: number | undefined }>()
    for (const line of lines(name)) {
      if (line[0] === 0x24) {
        const { readings, fault } = decode(line)
        t.equal(fault, undefined, line.toString())
        for (const { name: reading, value, timeMs } of readings) told.set(reading, { value, timeMs })
        continue
      }
      const report: Readonly<Record<string, unknown>> = JSON.parse(line.toString())
      if (report['class'] === 'SKY') {
        for (const [ours, theirs] of [
          ['hdop', 'hdop'],
          ['pdop', 'pdop'],
          ['vdop', 'vdop'],
          ['satellites', 'uSat'],
        ] as const) {
          // gpsd computes what the receiver leaves out, and counts the satellites used itself.
          if (slack > 1 || typeof report[theirs] !== 'number' || !told.has(ours)) continue
          compared++
          t.ok(Math.abs(Number(told.get(ours)?.value) - report[theirs]) <= 0.005, `${ours} ${line}`)
        }
        continue
      }
      for (const [ours, theirs, exactness] of TPV) {
        const expected = report[theirs]
        if (typeof expected !== 'number' || !told.has(ours)) continue
        compared++
        const difference = Math.abs(Number(told.get(ours)?.value) - expected)
        t.ok(difference <= exactness * slack, `${ours} ${told.get(ours)?.value} ${expected}`)
      }
      const rmcTime = told.get('speed')?.timeMs
      if (typeof report['time'] === 'string' && told.has('speed'))
        // 2005 is before a clock is believed.
        t.equal(rmcTime, report['time'] < '2010' ? undefined : Date.parse(report['time']))
      told = new Map()
    }
  }
  t.ok(compared > 200, `${compared} values`)
})

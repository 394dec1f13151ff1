import { test } from 'tap'
import { convertUnit, isUnit, unitSpelling, unitSymbols } from '../../src/core/unit.ts'

test('every registered symbol spells itself, but for those that mean temperatures on a payload', async (t) => {
  for (const symbol of unitSymbols()) {
    if (symbol === 'C' || symbol === 'F' || symbol === '%') continue
    t.strictSame(unitSpelling(symbol, 'x'), { unit: symbol, scale: 1, offset: 0 }, symbol)
  }
  t.match(unitSpelling('C', 'x'), { unit: 'Cel' })
  t.match(unitSpelling('F', 'x'), { unit: 'Cel', scale: 5 / 9 })
})

test('every spelling leads to a registered symbol', async (t) => {
  for (const text of ['lx', 'mbar', 'inHg', 'mph', 'µg/m³', 'kΩ', 'd', 'rpm', 'kB', 'mAh', '‰'])
    t.ok(isUnit(unitSpelling(text, 'x')?.unit ?? ''), text)
  for (const text of ['', 'bananas', 'toString', '__proto__', 'CC']) t.equal(unitSpelling(text, 'x'), undefined, text)
})

test('capitals are kept apart where they carry meaning', async (t) => {
  t.match(unitSpelling('mWh', 'x'), { unit: 'Wh', scale: 0.001 })
  t.match(unitSpelling('MWh', 'x'), { unit: 'kWh', scale: 1000 })
  t.equal(unitSpelling('mwh', 'x'), undefined)
  t.equal(unitSpelling('MWH', 'x'), undefined)
  t.equal(unitSpelling('mpa', 'x'), undefined)
  t.match(unitSpelling('KWH', 'x'), { unit: 'kWh' })
  t.match(unitSpelling('hpa', 'x'), { unit: 'hPa' })
})

test('a percentage is of humidity, of a battery, or of nothing known', async (t) => {
  for (const name of ['humidity', 'Humidity', 'soil_hum', 'rh', 'air.rh'])
    t.equal(unitSpelling('%', name)?.unit, '%RH', name)
  for (const name of ['battery', 'Battery_Level', 'batt', 'soc']) t.equal(unitSpelling('%', name)?.unit, '%EL', name)
  for (const name of ['valve', 'rhythm', 'social', 'humbug']) t.equal(unitSpelling('%', name)?.unit, '%', name)
})

test('conversion leaves no dust of arithmetic behind', async (t) => {
  const fahrenheit = unitSpelling('°F', 'x')
  t.ok(fahrenheit)
  if (fahrenheit === undefined) return
  t.equal(convertUnit(77, fahrenheit), 25)
  t.equal(convertUnit(32, fahrenheit), 0)
  t.equal(convertUnit(-40, fahrenheit), -40)
  t.equal(
    convertUnit(0.1 + 0.2, { unit: 'V', scale: 1, offset: 0 }),
    0.1 + 0.2,
    'what needs no arithmetic is not touched',
  )
})

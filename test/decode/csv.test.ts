import { test } from 'tap'
import { brief } from '../support/decoding.ts'
import { dialectDecoder } from '../support/dialect.ts'

const csv = (options: Readonly<Record<string, unknown>>, payload: string | Buffer) =>
  brief(dialectDecoder('csv', options)(payload))

test('columns named by the profile become readings, and a column without a name is noise', async (t) => {
  const columns = ['temperature', '', 'humidity']
  t.strictSame(csv({ columns }, '21.5,x,40\r\n'), ['temperature=21.5', 'humidity=40'])
  t.strictSame(csv({ columns }, '21.5;x;40'), ['temperature=21.5', 'humidity=40'])
  t.strictSame(csv({ columns }, '21.5\tx\t40'), ['temperature=21.5', 'humidity=40'])
  t.strictSame(csv({ columns }, '  21.5   x  40 '), ['temperature=21.5', 'humidity=40'])
  t.strictSame(csv({ columns, separator: '|' }, '21,5|x|40'), ['temperature=21.5', 'humidity=40'])
  t.strictSame(csv({ columns }, '21.5,x,40,'), ['temperature=21.5', 'humidity=40'], 'a separator at the end')
})

test('columns are named by place where nobody names them, and by a header where there is one', async (t) => {
  t.strictSame(csv({}, '1,2,3'), ['value1=1', 'value2=2', 'value3=3'])
  t.strictSame(csv({ header: true }, 'time of day;Temperature (°C);Pressure [inHg];x (y)\n12;77;30;1'), [
    'time of day=12',
    'Temperature=77 Cel',
    'Pressure=1015.9167 hPa',
    'x (y)=1',
  ])
  t.strictSame(csv({ header: true, columns: ['a'] }, 'b\n1'), ['a=1'])
})

test('quoted fields may hold separators, quotation marks and line ends', async (t) => {
  const columns = ['a', 'b', 'c']
  t.strictSame(csv({ columns, text: ['b'] }, '1,"x, ""y""",3\n"2","4","5"'), [
    'a=1',
    'b="x, \\"y\\""',
    'c=3',
    'a=2',
    'b="4"',
    'c=5',
  ])
  t.match(csv({ columns, separator: ',' }, '1,"two\nlines",3'), ['a=1', /^b=|c=3/])
  t.match(csv({ columns }, '1,"open,3'), [/quotation mark is not closed/])
  t.match(csv({ columns }, '1,"a"b,3'), [/follows a closing quotation mark/])
})

test('a line with another number of columns is a fault, and the others count', async (t) => {
  const columns = ['a', 'b']
  t.strictSame(csv({ columns }, '1,2\n3\n4,5,6\n7,8'), [
    'a=1',
    'b=2',
    'a=7',
    'b=8',
    'fault: line 2 has 1 columns instead of 2 (and 1 more)',
  ])
  t.strictSame(csv({ columns, tolerant: true, separator: ',' }, '1\n2,3,4'), ['a=1', 'a=2', 'b=3'])
})

test('decimal marks, thousands, units and absent values are what they are', async (t) => {
  const columns = ['v']
  const cases: readonly (readonly [options: object, payload: string, expected: string | RegExp])[] = [
    [{}, '21,5', 'v=21.5'],
    [{}, '1.234,5', 'v=1234.5'],
    [{}, '1,234.5 W', 'v=1234.5 W'],
    [{}, '1.234', 'v=1.234'],
    [{ decimal: ',' }, '1.234', 'v=1234'],
    [{ decimal: '.' }, '1,234', 'v=1234'],
    [{}, '1.234.567,25', 'v=1234567.25'],
    [{}, '12.34.5', 'v="12.34.5"'],
    [{}, '25°C', 'v=25 Cel'],
    [{}, '-.5', 'v=-0.5'],
    [{}, '12345678901234567890', 'v="12345678901234567890"'],
    [{ text: ['v'] }, '0012', 'v="0012"'],
    [{}, '0x1F', 'v="0x1F"'],
    [{}, 'on', 'v=true'],
    [{ missing: ['nan'] }, 'nan', ''],
    [{}, 'nan', 'fault: v has no value: nan'],
    [{}, 'ovf', 'fault: v has no value: ovf'],
    [{}, '--.- °C', 'fault: v has no value: --.- °C'],
  ]
  for (const [options, payload, expected] of cases)
    t.match(csv({ columns, separator: ';', ...options }, payload), expected === '' ? [] : [expected], payload)
  t.strictSame(csv({ columns: ['a', 'b'] }, ';2'), ['b=2'], 'an empty cell says nothing')
  t.strictSame(csv({ columns }, Buffer.from([0x32, 0x35, 0xb0, 0x43])), ['v=25 Cel'])
  t.strictSame(csv({ columns, encoding: 'latin-1' }, Buffer.from('grün', 'latin1')), ['v="grün"'])
  t.match(dialectDecoder('csv', { columns })('nan').doubtful, [{ device: 'house/meter', name: 'v', reason: 'faulty' }])
})

test('comments and lines before the values are passed over; a time column gives the time, a device column the device', async (t) => {
  const decode = dialectDecoder('csv', {
    columns: ['at', 'who', 't'],
    comment: '#',
    skipLines: 1,
    device: 'who',
    time: { name: 'at', format: 'unix' },
  })
  const { readings, fault } = decode('logger v1\n# a,b\n1795168800,x/1,20\n1795168801,x/2,21\n5,x/3,22\n1795168802,,23')
  t.strictSame(readings, [
    { device: 'x/1', name: 't', value: 20, timeMs: 1_795_168_800_000 },
    { device: 'x/2', name: 't', value: 21, timeMs: 1_795_168_801_000 },
    { device: 'x/3', name: 't', value: 22 },
  ])
  t.match(fault, /names no device/)
})

test('the fields of the profile apply to columns', async (t) => {
  const decode = dialectDecoder(
    'csv',
    { columns: ['t', 'p'] },
    {
      fields: [
        { match: ['t'], name: 'temperature', unit: 'Cel', scale: 0.1 },
        { match: ['p'], ignore: true },
      ],
    },
  )
  t.strictSame(decode('215,3').readings, [{ device: 'house/meter', name: 'temperature', value: 21.5, unit: 'Cel' }])
})

test('what is no table is a fault', async (t) => {
  t.match(csv({ columns: ['a'], comment: '#' }, '# x'), [])
  t.match(csv({}, '#,\n'), ['value1="#"'])
  t.match(csv({ header: true, skipLines: 1 }, 'x'), [/no line with values/])
  t.match(csv({}, Buffer.from([1, 2, 3])), [/binary/])
  t.match(csv({}, '1,'.repeat(6_000)), [/more than 5000 values/])
  t.match(csv({ columns: ['a'] }, ','.repeat(60_000)), [/more than 50000 cells/])
  t.throws(() => dialectDecoder('csv', { column: ['a'] }), /unknown key column; did you mean columns/)
})

import fc from 'fast-check'
import { test } from 'tap'
import { topicMatches } from '../../../src/core/topic.ts'
import { Routes } from '../../../src/sources/mqtt-broker/routes.ts'

const found = (routes: Routes<string>, topic: string): string[] => {
  const targets: string[] = []
  routes.match(topic, (target) => targets.push(target))
  return targets.sort()
}

test('a topic finds the same filters as one comparison with each', (t) => {
  const level = fc.constantFrom('', 'a', 'b', '$x')
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
  const filter = fc
    .tuple(fc.array(fc.constantFrom('', 'a', 'b', '$x', '+'), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([levels, open]) => (open ? [...levels.slice(1), '#'] : levels).join('/'))
  fc.assert(
    fc.property(fc.uniqueArray(filter, { maxLength: 12 }), fc.array(topic, { maxLength: 6 }), (filters, topics) => {
      const routes = new Routes<string>()
      for (const one of filters) routes.add(one, one)
      return topics
        .filter((text) => text !== '')
        .every((one) => {
          const expected = filters.filter((candidate) => topicMatches(candidate, one)).sort()
          return found(routes, one).join(' ') === expected.join(' ')
        })
    }),
    { numRuns: 300 },
  )
  t.end()
})

test('what is removed is gone, with the memory it took', (t) => {
  const routes = new Routes<string>(4)
  t.ok(routes.add('a/b/#', 'one'))
  t.ok(routes.add('a/b/c', 'two'))
  t.ok(routes.add('a/b/c/d', 'three'))
  t.notOk(routes.add('x', 'no room'))
  routes.remove('a/b/c/d', 'three')
  routes.remove('a/b/c/d', 'three')
  routes.remove('a/b/c', 'another')
  t.equal(routes.size, 2)
  t.strictSame(found(routes, 'a/b/c'), ['one', 'two'])
  routes.remove('a/b/#', 'one')
  routes.remove('a/b/c', 'two')
  t.equal(routes.size, 0)
  t.ok(routes.add('w/x/y/z', 'room again'))
  t.end()
})

import { test } from 'tap'
import { topicFilterFault, topicMatches, topicNameFault } from '../../src/core/topic.ts'

test('a Topic Name without wildcards, control characters and endless levels is valid', async (t) => {
  for (const topic of ['a', 'sensors/greenhouse/temperature', '/', 'a//b', '$SYS/x', 'küche/°', '😀'])
    t.equal(topicNameFault(topic), undefined, topic)
  for (const topic of ['', 'a/+', '#', 'a\u0000b', 'a\u0007', 'a\ufffd', 'x'.repeat(65_536), 'a/'.repeat(200)])
    t.type(topicNameFault(topic), 'string', JSON.stringify(topic.slice(0, 10)))
})

test('a Topic Filter has wildcards only as whole levels and # only at the end', async (t) => {
  for (const filter of ['#', '+', 'a/#', '+/b', 'a/+/c', '/']) t.equal(topicFilterFault(filter), undefined, filter)
  for (const filter of ['', 'a#', '#/a', 'a+/b', 'a/#/b']) t.type(topicFilterFault(filter), 'string', filter)
})

test('matching follows the examples of MQTT 3.1.1, 4.7', async (t) => {
  const cases: [filter: string, topic: string, matches: boolean][] = [
    ['sport/tennis/player1/#', 'sport/tennis/player1', true],
    ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
    ['sport/#', 'sport', true],
    ['sport/tennis/+', 'sport/tennis/player1', true],
    ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
    ['sport/+', 'sport', false],
    ['sport/+', 'sport/', true],
    ['+/+', '/finance', true],
    ['/+', '/finance', true],
    ['+', '/finance', false],
    ['#', '$SYS/broker', false],
    ['+/monitor', '$SYS/monitor', false],
    ['$SYS/#', '$SYS/monitor', true],
    ['a/b', 'a/b', true],
    ['a/b', 'a/bc', false],
    ['a/+/c', 'a/b/c', true],
    ['a/+/c', 'a/b/d', false],
    ['a/+/c', 'a/b', false],
    ['+/#', 'a', true],
  ]
  for (const [filter, topic, matches] of cases) t.equal(topicMatches(filter, topic), matches, `${filter} ${topic}`)
})

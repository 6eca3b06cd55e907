import { writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { FakeAppservice } from '../../../support/fake-appservice.js'
import { expectAnswer, expectAnswers } from '../../../support/expected-answers.js'
import { startHomeserver } from '../../../support/homeserver.js'
import { ManualClock } from '../../../support/manual-clock.js'

const PING = 'POST /_matrix/client/v1/appservice/bridge/ping'
const THIRD_PARTY = '/_matrix/client/v3/thirdparty'
/** Longer than a service may take. */
const TOO_LONG_MS = 120_000

describe('answers about application services', () => {
  it('tell services how they are reached', async () => {
    await using service = await FakeAppservice.start()
    const clock = new ManualClock(Date.now())
    await using hs = await startHomeserver({ clock, config: { app_service_config_files: [service.file] } })
    const bot = service.client(hs.url)
    const alice = await hs.register('alice')
    await expectAnswer(bot, PING, 200, { body: { transaction_id: 'a' } })
    await expectAnswer(alice, PING, [403, 'M_FORBIDDEN'], { body: {} })
    await expectAnswer(bot, PING.replace('bridge', 'other'), [403, 'M_FORBIDDEN'], { body: {} })
    service.onRequest = () => ({ status: 500, body: { oh: 'no' } })
    const refused = await expectAnswer(bot, PING, [502, 'M_BAD_STATUS'], { body: {} })
    expect(refused.body).to.include({ status: 500, body: '{"oh":"no"}' })
    let speak = (): void => undefined
    service.onRequest = () => new Promise((resolve) => (speak = () => resolve(undefined)))
    const before = service.requests.length
    const late = expectAnswer(bot, PING, [504, 'M_CONNECTION_TIMEOUT'], { body: {} })
    // The request has come, so that the server waits for its answer.
    while (service.requests.length === before) await new Promise(setImmediate)
    clock.advance(TOO_LONG_MS)
    await late
    speak()
  })

  it('tell services that they are not reached', async () => {
    const service = await FakeAppservice.start()
    await using hs = await startHomeserver({ config: { app_service_config_files: [service.file] } })
    await service[Symbol.asyncDispose]()
    await expectAnswer(service.client(hs.url), PING, [502, 'M_CONNECTION_FAILED'], { body: {} })
  })

  it('tell services that nobody knows where they are', async () => {
    await using service = await FakeAppservice.start()
    writeFileSync(service.file, JSON.stringify({ ...service.registration, url: null }))
    await using hs = await startHomeserver({ config: { app_service_config_files: [service.file] } })
    await expectAnswer(service.client(hs.url), PING, [400, 'M_URL_NOT_SET'], { body: {} })
  })

  it('pass on what services know of other networks', async () => {
    await using service = await FakeAppservice.start({ protocols: ['irc'] })
    const user = { userid: '@_bridge_a:hs.test', protocol: 'irc', fields: { nick: 'a' } }
    const location = { alias: '#_bridge_a:hs.test', protocol: 'irc', fields: { channel: '#a' } }
    service.onRequest = ({ path, query }) => {
      const known = [...query.values()].some((value) =>
        ['a', '#_bridge_a:hs.test', '@_bridge_a:hs.test'].includes(value),
      )
      if (!known) return undefined
      if (path.includes('/thirdparty/user')) return { status: 200, body: [user] }
      return path.includes('/thirdparty/location') ? { status: 200, body: [location] } : undefined
    }
    await using hs = await startHomeserver({ config: { app_service_config_files: [service.file] } })
    const alice = await hs.register('alice')
    const get = (rest: string): string => `GET ${THIRD_PARTY}/${rest}`
    await expectAnswers([
      [alice, get('user/irc?nick=a'), 200],
      [alice, get('location/irc?channel=a'), 200],
      [alice, get(`user?userid=${encodeURIComponent(user.userid)}`), 200],
      [alice, get(`location?alias=${encodeURIComponent(location.alias)}`), 200],
      [alice, get('user/irc?nick=nobody'), [404, 'M_NOT_FOUND']],
      [alice, get('location/irc?channel=nowhere'), [404, 'M_NOT_FOUND']],
      [alice, get('user?userid=%40_bridge_b%3Ahs.test'), [404, 'M_NOT_FOUND']],
      [alice, get('location?alias=%23_bridge_b%3Ahs.test'), [404, 'M_NOT_FOUND']],
      [alice, get('user/xmpp?nick=a'), [404, 'M_NOT_FOUND']],
      [alice, get('location/xmpp?channel=a'), [404, 'M_NOT_FOUND']],
      [alice, get('protocol/xmpp'), [404, 'M_NOT_FOUND']],
      [hs.client(), get('protocols'), [401, 'M_MISSING_TOKEN']],
    ])
  })
})

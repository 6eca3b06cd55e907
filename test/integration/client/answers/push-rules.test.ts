import { startHomeserver, type TestHomeserver } from '../../../support/homeserver.js'
import { expectAnswers } from '../../../support/expected-answers.js'
import type { MatrixClient } from '../../../support/matrix-client.js'

const RULES = '/_matrix/client/v3/pushrules'

describe('answers about push rules', () => {
  let hs: TestHomeserver
  let alice: MatrixClient
  let bob: MatrixClient

  before(async () => {
    hs = await startHomeserver()
    alice = await hs.register('alice')
    bob = await hs.register('bob')
  })
  after(() => hs[Symbol.asyncDispose]())

  it('follow the rules of their owner', async () => {
    const rule = `${RULES}/global/content/tea`
    await expectAnswers([
      [alice, `GET ${RULES}/`, 200],
      [alice, `GET ${RULES}/global/`, 200],
      [alice, `PUT ${rule}`, 200, { actions: ['notify'], pattern: 'tea' }],
      [alice, `GET ${rule}`, 200],
      [alice, `GET ${rule}/enabled`, 200],
      [alice, `PUT ${rule}/enabled`, 200, { enabled: false }],
      [alice, `GET ${rule}/actions`, 200],
      [alice, `PUT ${rule}/actions`, 200, { actions: [] }],
      [bob, `GET ${rule}`, [404, 'M_NOT_FOUND']],
      [alice, `DELETE ${rule}`, 200],
    ])
  })

  it('know no rule that is not there', async () => {
    const rule = `${RULES}/global/content/none`
    await expectAnswers([
      [alice, `GET ${rule}`, [404, 'M_NOT_FOUND']],
      [alice, `GET ${rule}/enabled`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${rule}/enabled`, [404, 'M_NOT_FOUND'], { enabled: true }],
      [alice, `GET ${rule}/actions`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${rule}/actions`, [404, 'M_NOT_FOUND'], { actions: [] }],
      [alice, `DELETE ${rule}`, [404, 'M_NOT_FOUND']],
      [alice, `PUT ${rule}?before=other`, [400, 'M_UNKNOWN'], { actions: [], pattern: 'a' }],
      [alice, `PUT ${RULES}/global/content/.mine`, [400, 'M_INVALID_PARAM'], { actions: [], pattern: 'a' }],
      [alice, `PUT ${RULES}/global/content/bad`, [400, 'M_MISSING_PARAM'], { actions: [] }],
    ])
  })

  it('know no paths that name no rule', async () => {
    const unknown: [number, string] = [400, 'M_UNRECOGNIZED']
    const other = `${RULES}/global/override/.m.rule.master/other`
    await expectAnswers([
      [alice, `PUT ${RULES}/`, unknown, {}],
      [alice, `PUT ${RULES}/device/room/a`, unknown, {}],
      [alice, `PUT ${RULES}/global`, unknown, {}],
      [alice, `PUT ${RULES}/global/room`, unknown, {}],
      [alice, `PUT ${other}`, unknown, { enabled: true }],
      [alice, `GET ${other}`, unknown],
      [alice, `GET ${RULES}/device/`, unknown],
      [alice, `GET ${RULES}/global`, unknown],
      [alice, `GET ${RULES}/global/room`, unknown],
      [alice, `GET ${RULES}/global/other/`, [400, 'M_INVALID_PARAM']],
      [alice, `GET ${RULES}`, [404, 'M_UNRECOGNIZED']],
      [alice, `DELETE ${RULES}/`, [405, 'M_UNRECOGNIZED']],
    ])
  })

  it('name what a pusher lacks', async () => {
    await expectAnswers([
      [alice, 'GET /_matrix/client/v3/pushers', 200],
      [alice, 'POST /_matrix/client/v3/pushers/set', [400, 'M_MISSING_PARAM'], { kind: 'http', app_id: 'a' }],
    ])
  })
})

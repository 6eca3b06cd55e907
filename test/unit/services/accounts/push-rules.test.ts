import { expect } from 'chai'
import type { MatrixError } from '../../../../src/protocol/errors.js'
import type { UserId } from '../../../../src/protocol/ids.js'
import { parsePushRule } from '../../../../src/protocol/push-rules.js'
import type { JsonObject } from '../../../../src/util/json.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

const ALICE = '@alice:hs.test' as UserId
const BOB = '@bob:hs.test' as UserId
const NOTIFY = { actions: ['notify'] }

forEachDatabase('services/accounts/push-rules', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  const service = () => fixture.services.pushRules
  const put = (ruleId: string, place = {}, body: JsonObject = NOTIFY) =>
    service().putRule(ALICE, { kind: 'override', ruleId }, { body, place })
  const ownRules = async (): Promise<string[]> => {
    const { global } = (await service().get(ALICE)) as unknown as {
      global: { override: { rule_id: string }[] }
    }
    return global.override.map((rule) => rule.rule_id).filter((ruleId) => !ruleId.startsWith('.'))
  }
  const errcodeOf = async (promise: Promise<unknown>): Promise<string> =>
    ((await rejection(promise)) as MatrixError).errcode

  it('puts a new rule above the others of its kind', async () => {
    await put('first')
    await put('second')
    expect(await ownRules()).to.deep.equal(['second', 'first'])
    const rule = await service().getRule(ALICE, { kind: 'override', ruleId: 'first' })
    expect(rule).to.deep.equal({
      rule_id: 'first',
      default: false,
      enabled: true,
      conditions: [],
      actions: ['notify'],
    })
  })

  it('puts a rule next to another', async () => {
    for (const ruleId of ['a', 'b', 'c']) await put(ruleId)
    await put('x', { before: 'b' })
    await put('y', { after: 'b' })
    expect(await ownRules()).to.deep.equal(['c', 'x', 'b', 'y', 'a'])
    await put('c', { after: 'a' })
    await put('a', { before: 'x', after: 'b' })
    expect(await ownRules()).to.deep.equal(['a', 'x', 'b', 'y', 'c'])
  })

  it('refuses a place next to a rule that is not there', async () => {
    await put('a')
    for (const place of [{ before: 'b' }, { after: 'b' }, { before: '.m.rule.master' }, { after: 'x' }]) {
      const error = (await rejection(put('x', place))) as MatrixError
      expect([error.errcode, error.status]).to.deep.equal(['M_UNKNOWN', 400])
    }
    expect(await ownRules()).to.deep.equal(['a'])
  })

  it('replaces a rule in its place, disabled if it was', async () => {
    for (const ruleId of ['a', 'b', 'c']) await put(ruleId)
    await service().setEnabled(ALICE, { kind: 'override', ruleId: 'b' }, false)
    await put('b', {}, { actions: [], conditions: [{ kind: 'contains_display_name' }] })
    expect(await ownRules()).to.deep.equal(['c', 'b', 'a'])
    expect(await service().getRule(ALICE, { kind: 'override', ruleId: 'b' })).to.deep.include({
      enabled: false,
      actions: [],
      conditions: [{ kind: 'contains_display_name' }],
    })
  })

  it('deletes rules', async () => {
    await put('a')
    await service().deleteRule(ALICE, { kind: 'override', ruleId: 'a' })
    expect(await ownRules()).to.deep.equal([])
    expect(await errcodeOf(service().deleteRule(ALICE, { kind: 'override', ruleId: 'a' }))).to.equal(
      'M_NOT_FOUND',
    )
    const master = { kind: 'override', ruleId: '.m.rule.master' } as const
    expect(await errcodeOf(service().deleteRule(ALICE, master))).to.equal('M_NOT_FOUND')
  })

  it('changes default rules', async () => {
    const message = { kind: 'underride', ruleId: '.m.rule.message' } as const
    await service().setEnabled(ALICE, message, false)
    await service().setActions(ALICE, message, ['dont_notify'])
    expect(await service().getRule(ALICE, message)).to.deep.include({
      default: true,
      enabled: false,
      actions: ['dont_notify'],
    })
    expect(await service().getRule(BOB, message)).to.deep.include({ enabled: true, actions: ['notify'] })
  })

  it('does not find rules that are not there', async () => {
    for (const name of [
      { kind: 'override', ruleId: 'a' },
      { kind: 'content', ruleId: '.m.rule.master' },
    ] as const) {
      expect(await errcodeOf(service().getRule(ALICE, name))).to.equal('M_NOT_FOUND')
      expect(await errcodeOf(service().setEnabled(ALICE, name, true))).to.equal('M_NOT_FOUND')
      expect(await errcodeOf(service().setActions(ALICE, name, []))).to.equal('M_NOT_FOUND')
    }
  })

  it('tells clients of changes', async () => {
    await put('a')
    const { db, positions } = fixture
    expect(positions).to.deep.include({ stream: 'push_rules', hints: { users: [ALICE] } })
    expect(await service().changedBetween(db.reader, ALICE, { from: 0, to: 1 })).to.equal(true)
    expect(await service().changedBetween(db.reader, ALICE, { from: 1, to: 2 })).to.equal(false)
    expect(await service().changedBetween(db.reader, BOB, { from: 0, to: 1 })).to.equal(false)
  })

  it('is read as account data too', async () => {
    const alice = await fixture.createUser('alice')
    await put('a')
    const content = await fixture.services.accountData.get(alice.requester, ALICE, undefined, 'm.push_rules')
    expect(content).to.deep.equal(await service().get(ALICE))
  })

  it('compiles the rules of those who have changed theirs, once', async () => {
    await put('a')
    const first = await service().evaluatorsOfChanged([ALICE, BOB])
    expect([...first.keys()]).to.deep.equal([ALICE])
    expect((await service().evaluatorsOfChanged([ALICE])).get(ALICE)).to.equal(first.get(ALICE))
    await put('b')
    expect((await service().evaluatorsOfChanged([ALICE])).get(ALICE)).to.not.equal(first.get(ALICE))
  })

  it('refuses more rules than a quarter of a megabyte, but lets who has more take some away', async () => {
    const body = {
      actions: [],
      conditions: [{ kind: 'event_match', key: 'a', pattern: 'x'.repeat(200_000) }],
    }
    await put('a', {}, body)
    expect(await errcodeOf(put('b', {}, body))).to.equal('M_TOO_LARGE')
    expect(await ownRules()).to.deep.equal(['a'])
    const rules = { override: ['a', 'b', 'c'].map((id) => parsePushRule('override', id, body)) }
    await fixture.db.write('import', (tx) =>
      fixture.stores.pushRules.put(tx, ALICE, { defaults: {}, rules }, 1_000),
    )
    await service().deleteRule(ALICE, { kind: 'override', ruleId: 'a' })
    expect(await ownRules()).to.deep.equal(['b', 'c'])
  })

  it('forgets the rules of a deactivated user', async () => {
    await fixture.createUser('alice')
    await put('a')
    await fixture.services.accountDeactivation.deactivate(ALICE, { erase: false })
    expect(await ownRules()).to.deep.equal([])
  })
})

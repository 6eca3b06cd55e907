import { expect } from 'chai'
import type { UserId } from '../../../src/protocol/ids.js'
import { InvitePermission } from '../../../src/protocol/invite-permission.js'
import type { JsonObject } from '../../../src/util/json.js'

const BOB = '@bob:one.test' as UserId
const EVE = '@eve:two.test' as UserId
const STABLE = 'm.invite_permission_config'
const UNSTABLE = 'org.matrix.msc4380.invite_permission_config'
const FILTERING = 'org.matrix.msc4155.invite_permission_config'

const permission = (configs: Record<string, JsonObject>) =>
  new InvitePermission(new Map(Object.entries(configs)))
const filtering = (config: JsonObject) => permission({ [FILTERING]: config })

describe('protocol/invite-permission', () => {
  it('lets everybody invite who says nothing', () => {
    for (const configs of [
      {},
      { [STABLE]: {} },
      { [STABLE]: { default_action: 'allow' } },
      { [FILTERING]: {} },
    ]) {
      expect(permission(configs).judge(BOB)).to.equal('allow')
      expect(permission(configs).allowsAll).to.equal(true)
    }
  })

  it('blocks everybody where that is the default, whatever else is said', () => {
    for (const type of [STABLE, UNSTABLE]) {
      const blocking = permission({
        [type]: { default_action: 'block' },
        [FILTERING]: { allowed_users: [BOB] },
      })
      expect([blocking.judge(BOB), blocking.allowsAll], type).to.deep.equal(['block', false])
    }
  })

  it('judges by user before server, and the kinder list comes first', () => {
    const cases: [JsonObject, string, string][] = [
      [{ blocked_users: [BOB] }, 'block', 'allow'],
      [{ ignored_users: [BOB] }, 'ignore', 'allow'],
      [{ blocked_servers: ['two.test'] }, 'allow', 'block'],
      [{ ignored_servers: ['*.test'] }, 'ignore', 'ignore'],
      [{ blocked_servers: ['*'], allowed_users: [BOB] }, 'allow', 'block'],
      [{ blocked_users: [BOB], allowed_servers: ['*'] }, 'block', 'allow'],
      [{ blocked_users: ['@?ob:*'], ignored_users: ['@eve*'] }, 'block', 'ignore'],
      [{ blocked_users: [BOB], ignored_users: [BOB], allowed_users: [BOB] }, 'allow', 'allow'],
      [{ blocked_servers: ['two.test'], ignored_servers: ['two.test'] }, 'allow', 'ignore'],
    ]
    for (const [config, ofBob, ofEve] of cases) {
      const { judge } = { judge: (userId: UserId) => filtering(config).judge(userId) }
      expect([judge(BOB), judge(EVE)], JSON.stringify(config)).to.deep.equal([ofBob, ofEve])
    }
  })

  it('makes nothing of what it does not understand', () => {
    const configs: JsonObject[] = [
      { blocked_users: null, allowed_users: null },
      { blocked_users: 'all' },
      { blocked_users: [1, null, {}] },
      { blocked_servers: {} },
    ]
    for (const config of configs)
      expect(filtering(config).judge(BOB), JSON.stringify(config)).to.equal('allow')
  })
})

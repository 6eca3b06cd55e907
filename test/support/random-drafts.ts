import type { JsonObject } from '../../src/util/json.js'

/** What somebody says, in the words of tests. */
export interface RandomDraft {
  readonly type: string
  readonly stateKey?: string
  readonly content: JsonObject
}

/** How many kinds of things can be said. */
export const DRAFT_KINDS = 14

/**
 * Something of a kind that leads to conflicts: bans, power levels, join rules, names.
 * @param what a number below `DRAFT_KINDS`
 * @param about a user other than `self`, or the same
 * @param self who says it
 */
export function draftOf(what: number, about: string, self: string): RandomDraft {
  switch (what) {
    case 0:
      return memberDraft(about, 'ban')
    case 1:
      return memberDraft(about, 'leave')
    case 2:
      return memberDraft(about, 'invite')
    case 3:
      return memberDraft(self, 'join')
    case 4:
      return stateDraft('m.room.power_levels', { users: { [self]: 60, [about]: 50 } })
    case 5:
      return stateDraft('m.room.power_levels', { users: { [self]: 50 }, ban: 40 })
    case 6:
      return stateDraft('m.room.power_levels', { users: { [about]: 60 }, state_default: 0, invite: 50 })
    case 7:
      return stateDraft('m.room.join_rules', { join_rule: 'invite' })
    case 8:
      return stateDraft('m.room.join_rules', { join_rule: 'public' })
    case 9:
      return stateDraft('m.room.join_rules', { join_rule: 'knock' })
    case 10:
      return stateDraft('m.room.name', { name: `${self} ${about}` })
    case 11:
      return stateDraft('m.room.topic', { topic: self })
    case 12:
      return { type: 'org.example.seat', stateKey: self, content: { taken: about } }
    default:
      return { type: 'm.room.message', content: { msgtype: 'm.text', body: 'Hello' } }
  }
}

/** The membership that a user gets. */
export function memberDraft(userId: string, membership: string): RandomDraft {
  return { type: 'm.room.member', stateKey: userId, content: { membership } }
}

function stateDraft(type: string, content: JsonObject): RandomDraft {
  return { type, stateKey: '', content }
}

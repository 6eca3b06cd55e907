import { expect } from 'chai'
import { HttpFailure, type HttpFailureKind } from '../../../../src/net/http-failure.js'
import type { RoomId, UserId } from '../../../../src/protocol/ids.js'
import { SpamChecks } from '../../../../src/services/accounts/spam-checks.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'

const ALICE = '@alice:hs.test' as UserId
const ROOM = '!room:hs.test' as RoomId

describe('SpamChecks', () => {
  /** A service that fails in this way; what it is asked, and when. */
  function failing(kind: HttpFailureKind, asked: string[]) {
    const clock = new ManualClock()
    const client = {
      ask: (callback: string) => {
        asked.push(callback)
        return Promise.reject(new HttpFailure(kind, 'no'))
      },
    }
    const callbacks = [
      { name: 'user_may_join_room', failsOpen: true, isOnlyTold: false },
      { name: 'user_may_create_room', failsOpen: false, isOnlyTold: false },
    ]
    const logger = { warn: () => undefined }
    return {
      clock,
      checks: new SpamChecks([{ client, callbacks }], { clock, logger, exempt: '@n:hs.test' as UserId }),
    }
  }

  it('spare a service that keeps them waiting, where its answer is not needed', async () => {
    const asked: string[] = []
    const { clock, checks } = failing('timeout', asked)
    await checks.mayJoin(ALICE, ROOM, false)
    await checks.mayJoin(ALICE, ROOM, false)
    expect(asked).to.deep.equal(['user_may_join_room'])
    expect(await rejection(checks.mayCreateRoom(ALICE))).to.include({ status: 403 })
    expect(asked).to.deep.equal(['user_may_join_room', 'user_may_create_room'])
    clock.advance(30_000)
    await checks.mayJoin(ALICE, ROOM, false)
    expect(asked).to.have.length(3)
  })

  it('ask again at once where there was no waiting', async () => {
    const asked: string[] = []
    const { checks } = failing('unreachable', asked)
    await checks.mayJoin(ALICE, ROOM, false)
    await checks.mayJoin(ALICE, ROOM, false)
    expect(asked).to.have.length(2)
  })

  it('say nothing against anything when the server stops', async () => {
    const { checks } = failing('aborted', [])
    expect(await rejection(checks.mayJoin(ALICE, ROOM, false))).to.be.instanceOf(HttpFailure)
  })

  it('ask nobody about who speaks for the server', async () => {
    const asked: string[] = []
    const { checks } = failing('unreachable', asked)
    await checks.mayCreateRoom('@n:hs.test' as UserId)
    await checks.mayJoin('@n:hs.test' as UserId, ROOM, false)
    await checks.mayInvite('@n:hs.test' as UserId, [ALICE], ROOM)
    expect(asked).to.deep.equal([])
  })
})

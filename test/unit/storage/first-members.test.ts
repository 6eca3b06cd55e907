import { expect } from 'chai'
import fc from 'fast-check'
import type { UserId } from '../../../src/protocol/ids.js'
import type { Database, Query, SqlValue } from '../../../src/storage/database.js'
import { readFirstMembers } from '../../../src/storage/first-members.js'
import { forEachDatabase } from '../../support/databases.js'

interface Member {
  readonly room_nid: number
  readonly user_id: string
  readonly membership: string
  readonly stream_ordering: number
}

const ME = '@m:hs' as UserId
const MEMBERSHIPS = ['join', 'invite', 'leave'] as const
const memberships = fc.subarray([...MEMBERSHIPS])

forEachDatabase('first members of rooms', (open, kind) => {
  let db: Database

  before(async () => {
    db = await open()
  })

  async function write(members: readonly Member[]): Promise<void> {
    await db.write('test', async (tx) => {
      await tx.execute('DELETE FROM room_members')
      const rows = members.map((member) => ({ ...member, event_nid: 1, sender: member.user_id, is_local: 1 }))
      await tx.insertMany('room_members', rows, {
        columns: {
          room_nid: 'integer',
          user_id: 'text',
          membership: 'text',
          event_nid: 'integer',
          stream_ordering: 'integer',
          sender: 'text',
          is_local: 'integer',
        },
      })
    })
  }

  it('are those of a list that is sorted and cut, whatever the rooms and memberships', async () => {
    const member = fc.record({
      room_nid: fc.integer({ min: 1, max: 3 }),
      user_id: fc.constantFrom(...Array.from('abcdefghm')).map((letter) => `@${letter}:hs`),
      membership: fc.constantFrom(...MEMBERSHIPS),
      // Members of a room that is taken over as a whole may share a position.
      stream_ordering: fc.integer({ min: 1, max: 4 }),
    })
    const members = fc.uniqueArray(member, {
      maxLength: 25,
      selector: ({ room_nid, user_id }) => `${room_nid} ${user_id}`,
    })
    const wanted = fc.record({
      roomNids: fc.subarray([1, 2, 3]),
      memberships,
      limit: fc.integer({ min: 1, max: 4 }),
      byMembership: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(members, wanted, async (all, { limit, ...of }) => {
        await write(all)
        const turnOf = ({ membership }: Member): number =>
          of.byMembership ? MEMBERSHIPS.findIndex((known) => known === membership) : 0
        const found = await readFirstMembers<Member>(db.reader, { ...of, limit, except: ME }, [
          'user_id',
          'membership',
          'stream_ordering',
        ])
        expect(found).to.deep.equal(
          [1, 2, 3].flatMap((roomNid) =>
            all
              .filter(({ room_nid }) => room_nid === roomNid && of.roomNids.includes(roomNid))
              .filter(({ membership, user_id }) => isOneOf(of.memberships, membership) && user_id !== ME)
              .sort(
                (a, b) =>
                  turnOf(a) - turnOf(b) ||
                  a.stream_ordering - b.stream_ordering ||
                  (a.user_id < b.user_id ? -1 : 1),
              )
              .slice(0, limit),
          ),
        )
      }),
      { numRuns: 40 },
    )
  })

  if (kind === 'sqlite') {
    it('are found by the index that has them in order', async () => {
      const plan: string[] = []
      const explain = async (sql: string, params: readonly SqlValue[]): Promise<[]> => {
        const steps = await db.reader.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params)
        plan.push(...steps.map(({ detail }) => detail))
        return []
      }
      const q = { dialect: db.dialect, all: explain } as unknown as Query
      await readFirstMembers(q, { roomNids: [1], memberships: ['join'], except: ME, limit: 5 }, ['user_id'])
      expect(plan).to.include(
        'SEARCH i USING COVERING INDEX room_members_order (room_nid=? AND membership=?)',
      )
    })
  }
})

function isOneOf(list: readonly string[], value: string): boolean {
  return list.includes(value)
}

import { expect } from 'chai'
import type { JsonObject } from '../../../../src/util/json.js'
import { createAccountServices, type AccountFixture } from '../../../support/account-services.js'
import { forEachDatabase } from '../../../support/databases.js'
import { rejection } from '../../../support/rejection.js'

forEachDatabase('filters', (open) => {
  let fixture: AccountFixture

  beforeEach(async () => {
    fixture = await createAccountServices(await open())
  })

  const filterOf = (limit: number): JsonObject => ({ room: { timeline: { limit } } })

  it('have one ID, however often they are uploaded', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const { filters } = fixture.services
    const ids = await Promise.all([1, 2, 3].map(() => filters.create(requester, userId, filterOf(10))))
    expect(new Set(ids).size).to.equal(1)
    const other = await filters.create(requester, userId, filterOf(20))
    expect(other).not.to.equal(ids[0])
    expect(await filters.get(requester, userId, other)).to.deep.equal(filterOf(20))
    expect(await filters.get(requester, userId, other)).to.deep.equal(filterOf(20))
  })

  it('have IDs of their own, also when different ones come at once', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    const limits = [1, 2, 3, 4, 5]
    const ids = await Promise.all(
      limits.map((limit) => fixture.services.filters.create(requester, userId, filterOf(limit))),
    )
    expect(new Set(ids).size).to.equal(limits.length)
    for (const [index, id] of ids.entries()) {
      expect(await fixture.services.filters.get(requester, userId, id)).to.deep.equal(filterOf(index + 1))
    }
  })

  it('belong to one user', async () => {
    const alice = await fixture.createUser('alice')
    const bob = await fixture.createUser('bob')
    const { filters } = fixture.services
    const id = await filters.create(alice.requester, alice.userId, filterOf(10))
    expect(await rejection(filters.get(bob.requester, bob.userId, id))).to.have.property(
      'errcode',
      'M_NOT_FOUND',
    )
    expect(await rejection(filters.get(bob.requester, alice.userId, id))).to.have.property(
      'errcode',
      'M_FORBIDDEN',
    )
    const error = await rejection(filters.create(bob.requester, alice.userId, filterOf(1)))
    expect(error).to.have.property('errcode', 'M_FORBIDDEN')
  })

  it('are not found by IDs that are none', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    for (const id of ['', '1', '-1', '1.5', 'x', '00', '9'.repeat(30), "0' OR 1=1"]) {
      const error = await rejection(fixture.services.filters.get(requester, userId, id))
      expect(error, id).to.have.property('errcode', 'M_NOT_FOUND')
    }
  })

  it('are not kept without end', async () => {
    const { userId, requester } = await fixture.createUser('alice')
    await fixture.db.write('fill', (tx) =>
      tx.insertMany(
        'filters',
        Array.from({ length: 1000 }, (_, index) => ({
          user_id: userId,
          filter_id: index,
          hash: String(index),
          json: '{}',
        })),
        { columns: { user_id: 'text', filter_id: 'integer', hash: 'text', json: 'text' } },
      ),
    )
    const error = await rejection(fixture.services.filters.create(requester, userId, filterOf(1)))
    expect(error).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
  })
})

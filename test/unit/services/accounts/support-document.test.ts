import { expect } from 'chai'
import { buildSupportDocument } from '../../../../src/services/accounts/support-document.js'

describe('services/accounts/support-document', () => {
  const contact = (fields: object) => ({ contacts: [{ ...fields, role: 'm.role.admin' }] })

  it('says how the administrator can be reached', () => {
    expect(buildSupportDocument('mailto:admin@hs.test?subject=x')).to.deep.equal(
      contact({ email_address: 'admin@hs.test' }),
    )
    expect(buildSupportDocument('admin@hs.test')).to.deep.equal(contact({ email_address: 'admin@hs.test' }))
    expect(buildSupportDocument('@admin:hs.test')).to.deep.equal(contact({ matrix_id: '@admin:hs.test' }))
    expect(buildSupportDocument('matrix:u/admin:hs.test')).to.deep.equal(
      contact({ matrix_id: '@admin:hs.test' }),
    )
    expect(buildSupportDocument('https://hs.test/help')).to.deep.equal({
      support_page: 'https://hs.test/help',
    })
  })

  it('is not there when there is nothing to say', () => {
    for (const nothing of [undefined, '', 'tel:123', 'nobody'])
      expect(buildSupportDocument(nothing)).to.equal(undefined)
  })
})

import { expect } from 'chai'
import Doctor from '../../../../commands/doctor.js'
import { DOCTOR_CHECKS } from '../../../../src/cli/doctor/checks.js'

describe('the checks of the doctor', () => {
  it('are all named in the help, in their order', () => {
    const [, named = ''] = /Checks: ([^.]+)\./.exec(Doctor.description) ?? []
    expect(named.split(', ')).to.deep.equal(DOCTOR_CHECKS.map(({ name }) => name))
  })
})

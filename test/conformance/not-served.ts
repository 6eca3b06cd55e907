/** Operations of the client-server API without a route, by the reason. An entry goes when its route comes. */
export const NOT_SERVED: Readonly<Record<string, readonly string[]>> = {
  'inviteUser answers it too: one path has one route': ['inviteBy3PID'],
  'Application services are not served yet': [
    'pingAppservice',
    'updateAppserviceRoomDirectoryVisibility',
    'getProtocolMetadata',
    'queryLocationByProtocol',
    'queryUserByProtocol',
    'queryLocationByAlias',
    'queryUserByID',
  ],
  'Deprecated, and no client asks for it': ['getEvents', 'peekEvents', 'initialSync', 'getOneEvent'],
  'This is no policy server': ['getWellknownPolicy'],
}

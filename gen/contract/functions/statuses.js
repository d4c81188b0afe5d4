// statuses says which of the wanted statuses an operation does not declare.
export default (operation, {want}, {path}) =>
  want
    .filter((status) => !operation.responses?.[status])
    .map((status) => ({message: `declares no ${status}`, path: [...path, 'responses']}));

// header says when an answer does not promise the wanted header.
export default (response, {want}, {path}) =>
  response.headers?.[want]?.required ? [] : [{message: `has no required header ${want}`, path}];

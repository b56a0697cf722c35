#include "session/redis/redis_scripts.h"

#include <openssl/evp.h>

#include <cstddef>

#include "net/text.h"

namespace baton {
namespace {

// Why each of them reads TIME and writes PEXPIREAT: what is replicated is the effect, so that a
// replica with a clock of its own expires at the same moment.

// And why they ask what the user may before the first write: a script that fails is not rolled back.

constexpr std::string_view create_text = R"lua(
local k,o,A=KEYS[1],KEYS[2],ARGV
local may=redis.acl_check_cmd
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local latest=tonumber(A[#A])
if latest>0 and now>=latest then return {'LATE',now} end
local m=redis.call('HMGET',k,'_w','_c')
for i=1,m[1] and #m[1] or 0,8 do
  if string.sub(m[1],i,i+7)==A[4] then return {'OK',tonumber(m[2])} end
end
if redis.call('EXISTS',k)==1 then return {'EXISTS'} end
local old=o and redis.pcall('HMGET',o,'_to','_v') or {}
if old.err then old={} end
if old[1] and old[1]~='' then return {'MOVED',old[1]} end
if not may('PEXPIREAT',k,now) or old[2] and not may('DEL',o) then
  return redis.error_reply('NOPERM create')
end
local abs=tonumber(A[3])
local x=0
if abs>0 then x=now+abs end
redis.call('HSET',k,'_v',1,'_dv',0,'_c',now,'_i',A[1],'_x',x,'_w',A[4],'_r',now,'_n',A[5])
for i=7,#A-2,2 do redis.call('HSET',k,'a:'..A[i],'1:'..A[i+1]) end
local e=now+A[1]+A[2]
if x>0 and x<e then e=x end
redis.call('PEXPIREAT',k,e)
if old[2] then
  redis.call('DEL',o)
  redis.call('HSET',o,'_to','')
  redis.call('PEXPIREAT',o,now+A[6])
end
return {'OK',now}
)lua";

constexpr std::string_view touch_text = R"lua(
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local latest=tonumber(ARGV[2])
if latest>0 and now>=latest then return {'LATE',now} end
local h=redis.call('HMGET',KEYS[1],'_i','_x')
if not h[1] then return -1 end
local e=now+h[1]+ARGV[1]
local x=tonumber(h[2])
if x>0 and x<e then e=x end
return redis.call('PEXPIREAT',KEYS[1],e,'GT')
)lua";

constexpr std::string_view commit_text = R"lua(
local k,n,A=KEYS[1],KEYS[2],ARGV
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local latest=tonumber(A[#A])
if latest>0 and now>=latest then return {'LATE',now} end
local function version_made(who,version)
  for i=1,#who,8 do
    if string.sub(who,i,i+7)==A[6] then return version-(i-1)/8 end
  end
end
if n then
  local m=redis.call('HMGET',n,'_w','_v')
  local made=m[2] and version_made(m[1] or '',tonumber(m[2]))
  if made then return {'OK',made} end
end
local m=redis.call('HMGET',k,'_v','_dv','_i','_x','_w','_n','_to')
if m[7] then return {'MOVED',m[7]} end
if not m[1] then return {'MOVED',''} end
local v,who=tonumber(m[1]),m[5] or ''
local made=version_made(who,v)
if made then return {'OK',made} end
local names,p={},9
local function list(width)
  local count,at=tonumber(A[p]),p+1
  p=at+width*count
  for i=0,count-1 do names[#names+1]=A[at+width*i] end
  return at,count
end
local sp,sc=list(2)
local dp,dc=list(1)
local ip,ic=list(2)
local old={}
for i=1,#names,1000 do
  local fields={}
  for j=i,math.min(i+999,#names) do fields[#fields+1]='a:'..names[j] end
  local got=redis.call('HMGET',k,unpack(fields))
  for j=1,#fields do old[#old+1]=got[j] end
end
local count,bytes=redis.call('HLEN',k)-8,tonumber(m[6])
local function part(i)
  local version,value=string.match(old[i],'^(%d+):(.*)$')
  return tonumber(version) or 0,value or old[i]
end
local base=A[1]~='' and tonumber(A[1])
local over,bad,set,del={},{},{},{}
v=v+1
local function leave(i)
  if old[i] then
    count=count-1
    local _,value=part(i)
    bytes=bytes-#names[i]-#value
  end
end
local function seen(i)
  if not base then return end
  local at=tonumber(m[2])
  if old[i] then at=part(i) end
  if at>base then over[#over+1]=names[i] end
end
local function put(i,value)
  leave(i)
  count=count+1
  bytes=bytes+#names[i]+#value
  set[#set+1]='a:'..names[i]
  set[#set+1]=string.format('%.0f:',v)..value
end
for i=1,sc do
  seen(i)
  put(i,A[sp+2*i-1])
end
for i=sc+1,sc+dc do
  seen(i)
  if old[i] then del[#del+1]='a:'..names[i] end
  leave(i)
end
local most=9007199254740991
for i=sc+dc+1,#names do
  local was=0
  if old[i] then was=tonumber(string.match(old[i],'^%d+:(-?%d+)$')) end
  local sum=was and was+A[ip+2*(i-sc-dc)-1]
  if not was or math.abs(was)>most or math.abs(sum)>most then bad[#bad+1]=names[i]
  else put(i,string.format('%.0f',sum)) end
end
if #bad>0 then return {'NOTINT',v-1,unpack(bad,1,64)} end
if #over>0 then return {'CONFLICT',v-1,unpack(over,1,64)} end
if count>tonumber(A[4]) or bytes>tonumber(A[5]) then return {'LIMIT'} end
local longest=tonumber(A[p])
if longest>0 and 3*bytes+2*count-1>longest then
  local function long(text)
    local _,escapes=string.gsub(text,'[^A-Za-z0-9._~ -]','')
    return #text+2*escapes
  end
  local function pair(field,value)
    return long(string.sub(field,3))+long(string.match(value,'^%d+:(.*)$') or value)+2
  end
  local had,before=redis.call('HGETALL',k),0
  local each={}
  for i=1,#had,2 do
    if string.sub(had[i],1,2)=='a:' then
      each[had[i]]=pair(had[i],had[i+1])
      before=before+each[had[i]]
    end
  end
  local after=before
  for i=1,#set,2 do after=after-(each[set[i]] or 0)+pair(set[i],set[i+1]) end
  for i=1,#del do after=after-(each[del[i]] or 0) end
  if after>before and after-1>longest then return {'LONG'} end
end
if n and redis.call('EXISTS',n)==1 then return {'EXISTS'} end
local may=redis.acl_check_cmd
if not may('PEXPIREAT',k,now) or #del>0 and not may('HDEL',k,'') or n and not may('RENAME',k,n) then
  return redis.error_reply('NOPERM commit')
end
redis.call('HSET',k,'_v',v,'_w',string.sub(A[6]..who,1,64),'_n',bytes)
for i=1,#set,1000 do redis.call('HSET',k,unpack(set,i,math.min(i+999,#set))) end
for i=1,#del,1000 do redis.call('HDEL',k,unpack(del,i,math.min(i+999,#del))) end
if #del>0 then redis.call('HSET',k,'_dv',v) end
local idle=m[3]
if A[3]~='' then
  idle=A[3]
  redis.call('HSET',k,'_i',idle)
end
local e,x=now+idle+A[2],tonumber(m[4])
if x>0 and x<e then e=x end
if A[3]~='' then redis.call('PEXPIREAT',k,e) else redis.call('PEXPIREAT',k,e,'GT') end
if n then
  redis.call('HSET',k,'_r',now)
  redis.call('RENAME',k,n)
  redis.call('HSET',k,'_to',A[7])
  redis.call('PEXPIREAT',k,now+A[8])
end
return {'OK',v}
)lua";

// The tombstone is written last and may fail (a full memory): the session has ended in any case.
constexpr std::string_view kill_text = R"lua(
local k=KEYS[1]
local t=redis.call('TIME')
local now=t[1]*1000+math.floor(t[2]/1000)
local latest=tonumber(ARGV[2])
if latest>0 and now>=latest then return {'LATE',now} end
local h=redis.call('HMGET',k,'_to','_v')
if h[1] then return {'MOVED',h[1]} end
if not h[2] then return {'MOVED',''} end
if not redis.acl_check_cmd('PEXPIREAT',k,now) then return redis.error_reply('NOPERM kill') end
redis.call('DEL',k)
local made=redis.pcall('HSET',k,'_to','')
if type(made)=='number' then redis.call('PEXPIREAT',k,now+ARGV[1]) end
return {'MOVED',''}
)lua";

std::string sha1_hex(std::string_view text) {
    std::array<unsigned char, 20> digest{};
    std::size_t size = digest.size();
    EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), digest.data(), &size);
    std::string hex;
    for (const unsigned char byte : digest) {
        hex += lower_hex_digits[byte >> 4];
        hex += lower_hex_digits[byte & 15];
    }
    return hex;
}

}  // namespace

std::string_view text_of(RedisScript script) noexcept {
    switch (script) {
    case RedisScript::create: return create_text;
    case RedisScript::touch: return touch_text;
    case RedisScript::commit: return commit_text;
    case RedisScript::kill: return kill_text;
    }
    return {};
}

std::string_view sha1_of(RedisScript script) {
    static const std::array<std::string, redis_scripts_count> names = [] {
        std::array<std::string, redis_scripts_count> made;
        for (std::size_t i = 0; i < made.size(); ++i) made[i] = sha1_hex(text_of(redis_scripts[i]));
        return made;
    }();
    return names[static_cast<std::size_t>(script)];
}

}  // namespace baton

# Stands beside the owner of a stack and kills what the stack started when the owner is gone, however it went.
#
# Standard input is a pipe from the owner. The line "released" on it says that the processes may outlive the owner; the end of the pipe
# without that line says that the owner is gone. $1 names a file with a line for each process: its pid, when it started, in which boot.
#
# A shell script because every user of the library has a shell at hand, while a test of another crate does not have this crate's program.

trap '' HUP INT QUIT TERM
read -r word && [ "$word" = released ] && exit 0
[ -f "$1" ] || exit 0
read -r this_boot </proc/sys/kernel/random/boot_id

# Sets state, parent and began of process $1. Fails where there is no such process.
look_at() {
    read -r line <"/proc/$1/stat" || return 1
    # A process may call itself anything, so fields are counted from behind its name.
    set -- ${line##*) }
    state=$1 parent=$2
    shift 19
    began=$1
}

# Every pid stands between blanks, so that none is found inside another.
known=
while read -r pid start boot; do
    look_at "$pid" && [ "$began" = "$start" ] && [ "$boot" = "$this_boot" ] && known="$known $pid "
done <"$1"

# Everything is stopped before anything is killed: a process that goes on might start another one meanwhile, and children of a killed one
# are found by nobody.
found=yes
while [ -n "$found" ]; do
    found=
    for pid in $known; do kill -STOP "$pid"; done
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        look_at "$pid" || continue
        [ "$state" = Z ] && continue
        case $known in *" $parent "*) ;; *) continue ;; esac
        case $known in *" $pid "*) ;; *) known="$known $pid " found=yes ;; esac
    done
done
for pid in $known; do kill -KILL "$pid"; done

# Whoever waits for this script may rely on all of them being gone.
tries=100
while [ "$tries" -gt 0 ]; do
    left=
    for pid in $known; do look_at "$pid" && [ "$state" != Z ] && left=yes; done
    [ -z "$left" ] && break
    tries=$((tries - 1))
    sleep 0.05
done

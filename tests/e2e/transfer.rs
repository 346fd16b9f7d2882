//! Files, trees and repositories, and bulk through many key exchanges.

use crate::harness::{twins, world};

#[test]
pub fn scp_copies_in_both_modes_and_directions() {
    for mode in ["-O", "-s"] {
        let script = format!(
            r#"head -c 3M /dev/urandom >$TMP/a
            mkdir $TMP/tree && echo x >"$TMP/tree/a name"
            there=$(ssh -F $CFG box mktemp -d)
            scp -F $CFG {mode} -q -p $TMP/a box:$there/b && scp -F $CFG {mode} -q box:$there/b $TMP/b
            cmp $TMP/a $TMP/b && echo same
            scp -F $CFG {mode} -qr $TMP/tree box:$there && scp -F $CFG {mode} -qr box:$there/tree $TMP/back
            diff -r $TMP/tree $TMP/back && echo tree
            scp -F $CFG {mode} -q box:/nonexistent $TMP/c
            echo $?
            ssh -F $CFG box rm -r $there"#
        );
        world().same(&script, "same\ntree\n1\n", 0);
    }
}

#[test]
pub fn sftp_runs_a_batch() {
    let script = r"
        head -c 1M /dev/urandom >$TMP/a
        there=$(ssh -F $CFG box mktemp -d)
        cat >$TMP/batch <<END
            cd $there
            put $TMP/a a
            rename a b
            chmod 600 b
            symlink b c
            get c $TMP/b
            ls -1
            rm b
            rm c
            rmdir $there
END
        sftp -F $CFG -b $TMP/batch box | grep -v '^sftp>' | grep -o '[bc]$'
        echo ${PIPESTATUS[0]}
        cmp $TMP/a $TMP/b && echo same";
    world().same(script, "b\nc\n0\nsame\n", 0);
}

#[test]
fn rsync_copies_ten_thousand_files() {
    let script = r#"
        sum() { (cd $1 && find . -type f | sort | xargs cat | sha256sum); }
        mkdir $TMP/a && for i in {1..10000}; do echo $i >$TMP/a/$i; done
        there=$(ssh -F $CFG box mktemp -d)
        rsync -az -e "ssh -F $CFG" $TMP/a/ box:$there/
        [ "$(ssh -F $CFG box "$(declare -f sum); sum $there")" = "$(sum $TMP/a)" ] && echo same
        # The other way it finds nothing to do, having read all checksums.
        rsync -rlptzc --delete -i -e "ssh -F $CFG" box:$there/ $TMP/a
        ssh -F $CFG box "ls $there | wc -l"
        ssh -F $CFG box rm -r $there"#;
    world().same(script, "same\n10000\n", 0);
}

#[test]
pub fn git_clones_and_pushes() {
    let script = r#"
        export GIT_SSH_COMMAND="ssh -F $CFG" GIT_CONFIG_GLOBAL=/dev/null
        there=$(ssh -F $CFG box mktemp -d)
        ssh -F $CFG box git init -q --bare -b main $there
        git init -q -b main $TMP/a && cd $TMP/a
        seq 100000 >numbers && git add . && git -c user.name=a -c user.email=a@b commit -qm one
        git push -q box:$there main
        git clone -q ssh://box$there $TMP/b
        cmp numbers $TMP/b/numbers && git -C $TMP/b log --format=%s
        ssh -F $CFG box rm -r $there"#;
    world().same(script, "one\n", 0);
}

/// Sends a file to `cat` and back through many key exchanges. The reader starts only when the
/// sender's position stands still: all buffers on the way are full then.
fn there_and_back(size: &str, options: &str) {
    let script = format!(
        r#"head -c {size} /dev/urandom >$TMP/a
        position() {{ sed -n 's/^pos:\t*//p' /proc/$1/fdinfo/0; }}
        mkfifo $TMP/back
        ssh -F $CFG {options} -v -E $TMP/log alice cat <$TMP/a >$TMP/back &
        exec 3<$TMP/back
        was=-1
        while now=$(position $!) && ! [ "$now" -gt 0 -a "$now" = "$was" ]; do
            was=$now
            sleep 0.2
        done
        sha256sum <&3 >$TMP/sum
        wait $!
        echo $?
        [ "$(cat $TMP/sum)" = "$(sha256sum <$TMP/a)" ] && echo same
        echo $(($(grep -c 'SSH2_MSG_NEWKEYS received' $TMP/log) > 4))"#
    );
    let run = world().client(&script);
    assert_eq!(run.stdout, "0\nsame\n1\n", "{options}: {run:?}");
}

#[test]
fn bulk_survives_key_exchanges_with_chacha20() {
    there_and_back("100M", "-o RekeyLimit=16M -c chacha20-poly1305@openssh.com");
}

#[test]
fn bulk_survives_key_exchanges_with_aes_gcm() {
    there_and_back("100M", "-o RekeyLimit=16M -c aes128-gcm@openssh.com");
}

#[test]
fn bulk_survives_key_exchanges_with_aes_ctr() {
    let ctr = "-c aes256-ctr -m hmac-sha2-256-etm@openssh.com";
    there_and_back("100M", &format!("-o RekeyLimit=16M {ctr}"));
}

#[test]
pub fn bulk_survives_a_key_exchange_every_megabyte() {
    there_and_back("100M", "-o RekeyLimit=1M");
}

#[test]
pub fn bulk_survives_key_exchanges_of_both_ends_at_once() {
    twins();
    there_and_back("10M", "-o RekeyLimit=64K -l twin1");
}
